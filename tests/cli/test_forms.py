# Things given in place of a checkpoint or a model folder: every command says in one line what they are. And small files that are no small files.
import json
import os
import shutil
import struct

import numpy as np
import pytest

import goldens
import program
import safetensors_file
from rewritten import edit_config
from safetensors_file import Stored
from weights import Checkpoint, to_bf16

TOY, MINI, HASH = (goldens.CHECKPOINTS[name] for name in ("toy", "mini", "hash"))


def copy_of(source, directory):
    shutil.copytree(source, directory, ignore=shutil.ignore_patterns("expected*", "tokens*", "README*", "provenance*", "LICENSE*"))
    return directory


@pytest.fixture
def toy(tmp_path):
    return copy_of(TOY, tmp_path / "checkpoint")


@pytest.fixture
def mini(tmp_path):
    return copy_of(MINI, tmp_path / "checkpoint")


def refuse_all(given, tmp_path, naming, folder_naming=None):
    """As a checkpoint, as a model folder and as either."""
    before = sorted(path.name for path in tmp_path.iterdir())
    program.refuse("convert", "-m", given, tmp_path / "out", naming=naming)
    program.refuse("convert", "-m", given, tmp_path / "out", "--dry-run", naming=naming)
    program.refuse("inspect", given, naming=naming)
    for command in (["run", given, "--tokens", "1"], ["run", given, "-p", "text"], ["bench", given], ["verify", TOY, given]):
        program.refuse(*command, naming=folder_naming or naming)
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "something was left behind"


# ---- what a thing is


@pytest.mark.parametrize("name, files, naming", [
    ("gguf", ["flash-Q4_K_M.gguf"], ["holds GGUF", "safetensors release"]),
    ("mp", ["config.json", "model0-mp2.safetensors", "model1-mp2.safetensors"], ["convert.py", "model0-mp2.safetensors", "take the release itself"]),
    ("pickle", ["config.json", "pytorch_model.bin"], ["pickles", "pytorch_model.bin", "safetensors release"]),
    ("adapter", ["adapter_config.json", "adapter_model.safetensors"], ["is an adapter", "merge"]),
    ("models--deepseek-ai--DeepSeek-V4-Flash", ["refs/main", "snapshots/7872f01b/config.json"], ["Hugging Face cache", "snapshots/7872f01b"]),
    ("empty", [], ["is an empty directory"]),
])
def test_directories_of_other_forms(tmp_path, name, files, naming):
    (tmp_path / name).mkdir()
    for file in files:
        (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / file).write_text("7872f01b")
    refuse_all(tmp_path / name, tmp_path, [tmp_path / name, *naming])


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_in_place_of_its_directory(toy, tmp_path, name):
    refuse_all(toy / name, tmp_path, [toy / name, "is a file", f"the directory that it lies in, {toy}"])


def test_a_gguf_file(tmp_path):
    (tmp_path / "flash.gguf").write_bytes(b"GGUF\3\0\0\0")
    refuse_all(tmp_path / "flash.gguf", tmp_path, [tmp_path / "flash.gguf", "is a GGUF file"])


def test_a_name_of_the_hub_and_an_address(tmp_path):
    refuse_all("deepseek-ai/DeepSeek-V4-Flash", tmp_path, ["deepseek-ai/DeepSeek-V4-Flash: ", "name of a Hugging Face repository", "hf download deepseek-ai/DeepSeek-V4-Flash"])
    refuse_all("https://huggingface.co/deepseek-ai/DeepSeek-V4-Flash", tmp_path, ["is an address", "download"])


def test_a_model_folder_in_place_of_a_checkpoint_and_the_reverse(library, tmp_path):
    folder = library.folder("toy")
    program.refuse("convert", "-m", folder, tmp_path / "out", naming=[folder, "is a model folder that was converted already"])
    program.refuse("verify", folder, folder, naming=[folder, "is a model folder that was converted already"])
    for command in (["run", TOY, "--tokens", "1"], ["run", TOY, "-p", "text"], ["bench", TOY], ["verify", TOY, TOY]):
        program.refuse(*command, naming=[TOY, "is a checkpoint", f"dsv4 convert -m {TOY} OUT"])
    program.refuse("verify", folder, TOY, naming=[folder, TOY, "the arguments are swapped", "dsv4 verify CHECKPOINT MODEL"])
    (tmp_path / "tokens").write_text("1,2")
    program.refuse("perplexity", TOY, "--tokens-file", tmp_path / "tokens", naming=[TOY, "is a checkpoint"])


@pytest.mark.parametrize("text, naming", [
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"), (b"<!DOCTYPE html><html>", "HTML page"),
    (b"PK\3\4\x14\0\0\0\x08\0", "ZIP archive"), (b"\x80\x02}q\x00X\x05\0\0\0embed", "pickle")])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_files_that_hold_something_else(toy, tmp_path, name, text, naming):
    (toy / "model.safetensors.index.json").unlink(missing_ok=True)
    (toy / name).write_bytes(text)
    program.refuse("convert", "-m", toy, tmp_path / "out", naming=[toy / name, naming])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]


def test_a_cached_snapshot_is_read_through_its_links(tmp_path):
    repository = tmp_path / "hub/models--o--mini"
    (repository / "blobs").mkdir(parents=True)
    (repository / "snapshots/abc").mkdir(parents=True)
    for number, path in enumerate(MINI.iterdir()):
        shutil.copy(path, repository / f"blobs/{number}")
        (repository / "snapshots/abc" / path.name).symlink_to(f"../../blobs/{number}")
    program.convert(repository / "snapshots/abc", tmp_path / "out")
    assert (tmp_path / "out/LICENSE.md").read_bytes() == (MINI / "LICENSE.md").read_bytes() and not (tmp_path / "out/LICENSE.md").is_symlink()


def test_awq_and_gptq_are_named(toy, tmp_path):
    for method in ("awq", "gptq"):
        edit_config(toy, quantization_config={"quant_method": method, "bits": 4, "group_size": 128})
        program.refuse("convert", "-m", toy, tmp_path / "out", naming=[toy / "config.json", method.upper(), "take the release itself"])


# ---- small files (`shared/faults/make_bad_inputs.py`)

SMALL = ["generation_config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "chat_template.jinja", "LICENSE"]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("kind, naming", [("fifo", "is not a regular file"), ("directory", "is a directory"), ("zero", "is not a regular file"), ("sparse", "at most"),
                                          ("outside", "is a link out of its directory, to /etc/hostname"), ("dead", "a link to a file that is missing")])
def test_small_files_that_are_none(toy, tmp_path, name, kind, naming):
    path = toy / name
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "sparse":
        path.touch()
        os.truncate(path, 10 << 30)
    else:
        path.symlink_to({"zero": "/dev/zero", "outside": "/etc/hostname", "dead": "nowhere"}[kind])
    program.refuse("convert", "-m", toy, tmp_path / "out", naming=[path, naming])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json"])
def test_config_and_index_are_not_waited_for(tmp_path, name):
    checkpoint = copy_of(HASH, tmp_path / "checkpoint")
    (checkpoint / name).unlink()
    os.mkfifo(checkpoint / name)
    for command in (["inspect", checkpoint], ["convert", "-m", checkpoint, tmp_path / "out"]):
        program.refuse(*command, naming=[checkpoint / name, "is not a regular file"])


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "dsv4_files.json", "tokenizer.json"])
def test_files_of_a_model_folder_are_not_waited_for(library, tmp_path, name):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("mini"), folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    program.refuse("run", folder, "-p", "In the", "-n", 1, naming=[folder / name, "is not a regular file"])
    if name in ("config.json", "generation_config.json"):
        program.refuse("bench", folder, naming=[folder / name, "is not a regular file"])


@pytest.mark.parametrize("name", ["openvino_model.xml", "openvino_model.bin"])
def test_the_models_files_are_not_waited_for(library, tmp_path, name):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("toy"), folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    for which in ("cpu", "portable"):
        program.refuse("run", folder, "--tokens", "1", "-n", 1, "--program", which, naming=[folder / name])


def test_a_file_of_tokens_is_a_file(library, tmp_path):
    os.mkfifo(tmp_path / "tokens")
    program.refuse("run", library.folder("toy"), "--tokens-file", tmp_path / "tokens", naming=[tmp_path / "tokens", "is not a regular file"])
    program.refuse("run", library.folder("toy"), "--tokens-file", "/dev/zero", naming=["/dev/zero", "is not a regular file"])
    with open(tmp_path / "large", "w") as file:
        file.truncate(10 << 30)
    program.refuse("run", library.folder("toy"), "--tokens-file", tmp_path / "large", naming=[tmp_path / "large", "at most"])


@pytest.mark.parametrize("ids", [None, []])
def test_no_end_token(toy, tmp_path, ids):
    config = json.loads((toy / "config.json").read_text())
    config["eos_token_id"] = ids
    (toy / "config.json").write_text(json.dumps(config))
    program.convert(toy, tmp_path / "out")


def test_other_code_is_not_carried_on(mini, tmp_path):
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        fields = json.loads((mini / name).read_text())
        fields |= {"auto_map": {"AutoTokenizer": ["someone/else--tokenization.Evil", None]}, "custom_pipelines": {"evil": {"impl": "evil.Evil"}}}
        (mini / name).write_text(json.dumps(fields))
    outcome = program.convert(mini, tmp_path / "out")
    assert outcome.err.count("are not carried on") == 3 and all(line.startswith("dsv4: ") for line in outcome.err.splitlines())
    for name in ("config.json", "tokenizer_config.json", "generation_config.json", "openvino_model.xml"):
        text = (tmp_path / "out" / name).read_text()
        assert "evil" not in text and "someone" not in text and "custom_pipelines" not in text, name


# ---- leftovers are notices (`shared/faults/09`, `11`)


def edit_tokenizer(checkpoint, change):
    path = checkpoint / "tokenizer.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    change(fields)
    path.write_text(json.dumps(fields), encoding="utf-8")


BOS = "<｜begin▁of▁sentence｜>"
TEMPLATE = [{"SpecialToken": {"id": BOS, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]


@pytest.mark.parametrize("field, value", [
    ("truncation", {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}),
    ("padding", {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1, "pad_type_id": 0, "pad_token": "<pad>"}),
    ("post_processor", {"type": "TemplateProcessing", "single": TEMPLATE, "pair": TEMPLATE, "special_tokens": {BOS: {"id": BOS, "ids": [0], "tokens": [BOS]}}}),
])
def test_what_a_trainer_leaves_in_the_tokenizer_changes_nothing(library, mini, tmp_path, field, value):
    edit_tokenizer(mini, lambda fields: fields.update({field: value}))
    outcome = program.convert(mini, tmp_path / "out")
    assert [line for line in outcome.err.splitlines() if field in line and line.startswith(f"dsv4: {mini}/tokenizer.json: ")]
    run = ("-p", "In the beginning God created", "-n", 4, "--json", *program.EXACT)
    found, plain = (json.loads(program.succeed("run", folder, *run).out) for folder in (tmp_path / "out", library.folder("mini")))
    assert found["tokens"] == plain["tokens"] and found["prompt_tokens"] == plain["prompt_tokens"], "one BOS, nothing cut"


def test_an_added_token_beyond_the_vocabulary(mini, tmp_path):
    size = json.loads((mini / "config.json").read_text())["vocab_size"]
    token = {"id": size, "content": "<pad>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    edit_tokenizer(mini, lambda fields: fields["added_tokens"].append(token))
    outcome = program.convert(mini, tmp_path / "out")
    assert any("<pad>" in line and str(size) in line for line in outcome.err.splitlines())
    program.succeed("run", tmp_path / "out", "-p", "In the beginning", "-n", 2)
    program.refuse("run", tmp_path / "out", "-p", "In the <pad> beginning", "-n", 2, naming=[size, size - 1])


def test_drafts_that_the_index_leaves_out_are_skipped(library, mini, tmp_path):
    path = mini / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] = {name: shard for name, shard in index["weight_map"].items() if not name.startswith("mtp.")}
    path.write_text(json.dumps(index))
    outcome = program.convert(mini, tmp_path / "out")
    assert "mtp.*" in outcome.err and "skipped" in outcome.err
    assert (tmp_path / "out/openvino_model.bin").read_bytes() == (library.folder("mini") / "openvino_model.bin").read_bytes()


def test_scales_left_over_beside_bf16_are_ignored(library, toy, tmp_path):
    """A dequantised upload that kept its scales, and metadata that is no text."""
    path = toy / "model.safetensors"
    tensors = safetensors_file.read(path)
    checkpoint = Checkpoint(TOY)
    for name, stored in list(tensors.items()):
        if stored.dtype == "F8_E4M3":
            tensors[name] = to_bf16(checkpoint.weight(name))
    safetensors_file.write(path, tensors)
    (toy / "model.safetensors.index.json").unlink(missing_ok=True)
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    text = json.dumps({"__metadata__": {"total": 5, "nested": {"a": [1]}}, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length:])
    outcome = program.convert(toy, tmp_path / "out")
    assert "left over and ignored" in outcome.err and "__metadata__" in outcome.err
    assert (tmp_path / "out/openvino_model.bin").read_bytes() == (library.folder("toy") / "openvino_model.bin").read_bytes()


def test_names_under_a_wrapper_are_named(toy, tmp_path):
    path = toy / "model.safetensors"
    safetensors_file.write(path, {f"base_model.model.{name}": stored for name, stored in safetensors_file.read(path).items()})
    (toy / "model.safetensors.index.json").unlink(missing_ok=True)
    program.refuse("convert", "-m", toy, tmp_path / "out", naming=[path, "base_model.model.", "merge"])


# ---- NaN and infinity


@pytest.mark.parametrize("name, value, naming", [("layers.1.attn.wkv.weight", b"\x7f", "nan"), ("head.weight", b"\x80\x7f", "inf"), ("layers.0.hc_attn_base", b"\0\0\x80\xff", "-inf")])
def test_inspect_deep_finds_what_is_no_number(toy, name, value, naming):
    path = toy / "model.safetensors"
    assert json.loads(program.succeed("inspect", toy, "--deep", "--json").out)["weights_read"] is True
    tensors = safetensors_file.read(path)
    stored = tensors[name]
    tensors[name] = Stored(stored.dtype, stored.shape, stored.data[:-len(value)] + value)
    (toy / "model.safetensors.index.json").unlink(missing_ok=True)
    safetensors_file.write(path, tensors)
    assert json.loads(program.succeed("inspect", toy, "--json").out)["weights_read"] is False
    place = np.prod(stored.shape) - 1
    columns = stored.shape[1] if len(stored.shape) > 1 else place + 1
    program.refuse("inspect", toy, "--deep", naming=[path, f'"{name}" holds {naming} at row {place // columns}, column {place % columns}'])
    for weight_format in ("fp32", "int8"):
        program.refuse("convert", "-m", toy, toy.parent / "out", "--weight-format", weight_format, naming=[path, name, f"holds {naming}"])


# ---- other tokenizers


def test_damaged_tokenizer_files_are_refused(library, tmp_path):
    """With another tokenizer the model reads other words than were written."""
    folder = tmp_path / "model"
    shutil.copytree(library.folder("mini"), folder)
    rng = np.random.default_rng(11)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        good = (folder / name).read_bytes()
        flipped = bytearray(good)
        for at in rng.integers(len(good), size=20):
            flipped[at] = rng.integers(256)
        for content in [b"\xff" * len(good), good[:1], b"", bytes(flipped)]:
            (folder / name).write_bytes(content)
            line = program.refuse("run", folder, "-p", "Hello", "-n", 1, naming=[folder / name, "dsv4_files.json"])
            assert len(line) < 600
        (folder / name).write_bytes(good)
    program.succeed("run", folder, "-p", "Hello", "-n", 1)


def test_a_folder_without_tokenizer_models_reads_text(library, tmp_path):
    """The models are for other programs, and so is the library that runs them."""
    folder = library.folder("mini", "--disable-convert-tokenizer")
    assert not (folder / "openvino_tokenizer.xml").exists()
    expected = program.succeed("run", library.folder("mini"), "-p", "Hello", "-n", 4).out
    environment = {**os.environ, "DSV4_TOKENIZERS_LIBRARY": str(tmp_path / "none.so")}
    assert program.succeed("run", folder, "-p", "Hello", "-n", 4, env=environment).out == expected


def test_tokenizer_models_alone_do_not_serve_a_text(library, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("mini"), folder)
    (folder / "tokenizer.json").unlink()
    program.refuse("run", folder, "-p", "Hello", "-n", 1, naming=[folder / "tokenizer.json", "not found", "--tokens"])
