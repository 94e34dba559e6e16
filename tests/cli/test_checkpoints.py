# Every kind of checkpoint that the reader accepts, converted and compared with the plain reference by `dsv4 verify`, or with its original.
import json
import shutil

import numpy as np
import pytest

import goldens
import program
import rewritten
import variants
from ir import Ir
from weights import Checkpoint

LENGTH = 180  # past one entry of the rate 128 and past every window below


def check(checkpoint, folder, length=LENGTH, tolerance=1e-4):
    """`verify` finds the folder's logits equal to the reference's, to float32 rounding."""
    outcome = program.verify(checkpoint, folder, "--length", length)
    assert outcome["passed"] is True
    assert outcome["tokens"] == length
    result = outcome["against_checkpoint"]
    assert result["max_logit"] > 0.1
    assert result["max_difference"] <= tolerance * result["max_logit"]
    assert 0 <= result["mean_difference"] <= result["max_difference"]
    assert abs(result["kl_divergence"]) < 1e-6
    assert result["greedy_match"] == length


@pytest.mark.parametrize("name", goldens.NAMES)
def test_goldens_pass_verify(library, name):
    check(goldens.CHECKPOINTS[name], library.folder(name))


@pytest.mark.parametrize("flags", [("--weight-format", "fp16"), ("--disable-stateful",)], ids=["fp16", "prefill-only"])
def test_other_forms_of_a_golden_pass_verify(library, flags):
    check(goldens.CHECKPOINTS["toy"], library.folder("toy", *flags))


@pytest.mark.parametrize("name", sorted(variants.VARIANTS))
def test_synthetic_variants_pass_verify(tmp_path, name):
    config = variants.write_config(name, tmp_path / "config.json")
    program.succeed("synth", config, tmp_path / "checkpoint", "--seed", 11)
    program.convert(tmp_path / "checkpoint", tmp_path / "model")
    check(tmp_path / "checkpoint", tmp_path / "model")


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", sorted(variants.VARIANTS))
def test_synthetic_variants_pass_verify_on_long_sequences(tmp_path, name, seed):
    config = variants.write_config(name, tmp_path / "config.json")
    program.succeed("synth", config, tmp_path / "checkpoint", "--seed", seed)
    program.convert(tmp_path / "checkpoint", tmp_path / "model")
    check(tmp_path / "checkpoint", tmp_path / "model", length=700)


def test_synthesis_depends_on_the_seed_alone(tmp_path):
    contents = []
    for name, seed in [("one", 3), ("same", 3), ("other", 4)]:
        program.succeed("synth", "toy", tmp_path / name, "--seed", seed)
        contents.append({path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())})
    assert contents[0] == contents[1]
    assert contents[0]["model.safetensors"] != contents[2]["model.safetensors"]


def test_base_style_experts_in_fp8_with_f32_scales(tmp_path):
    rewritten.write_base(goldens.CHECKPOINTS["toy"], tmp_path / "base")
    program.convert(tmp_path / "base", tmp_path / "model")
    base, constants = Checkpoint(tmp_path / "base"), Ir(tmp_path / "model").constants()
    for layer in range(base.config["num_hidden_layers"]):
        for part, parts in (("w1w3", ["w1", "w3"]), ("w2", ["w2"])):
            assert np.array_equal(constants[f"layers.{layer}.ffn.experts.{part}.weight"].values, base.expert_stack(layer, parts))
    check(tmp_path / "base", tmp_path / "model")


def same_model(folder, other, release="original"):
    """The graph and every weight; which release `folder` is."""
    stated = b'<release value="%s" />'
    xml = (folder / "openvino_model.xml").read_bytes()
    assert stated % release.encode() in xml
    assert xml.replace(stated % release.encode(), stated % b"original") == (other / "openvino_model.xml").read_bytes()
    assert (folder / "openvino_model.bin").read_bytes() == (other / "openvino_model.bin").read_bytes()


@pytest.mark.parametrize("name", goldens.NAMES)
def test_transformers_names_and_stacked_experts_give_the_same_model(library, tmp_path, name):
    rewritten.write_transformers(goldens.CHECKPOINTS[name], tmp_path / "renamed")
    program.convert(tmp_path / "renamed", tmp_path / "model")
    if name != "mini":  # its original has an MTP block, which only the config of the folder shows
        same_model(tmp_path / "model", library.folder(name))
    check(tmp_path / "renamed", tmp_path / "model", length=80)


def test_mtp_block_is_skipped_with_a_notice(tmp_path):
    outcome = program.convert(goldens.CHECKPOINTS["mini"], tmp_path / "model")
    assert "mtp" in outcome.err.lower()
    assert not [name for name in Ir(tmp_path / "model").constants() if name.startswith("mtp")]


def test_dspark_draft_stages_are_skipped_with_a_notice(tmp_path):
    outcome = program.convert(goldens.DSPARK, tmp_path / "model")
    assert "dspark" in outcome.err.lower()
    assert not [name for name in Ir(tmp_path / "model").constants() if name.startswith("mtp")]
    check(goldens.DSPARK, tmp_path / "model", length=80)


def test_the_release_is_that_of_the_checkpoint_and_inspect_says_it(library, tmp_path):
    def release(folder):
        assert "\nrelease" in program.succeed("inspect", folder).out
        return json.loads(program.succeed("inspect", folder, "--json").out)["release"]

    shutil.copytree(goldens.DSPARK, tmp_path / "dspark")
    program.convert(tmp_path / "dspark", tmp_path / "cut", "--layers", "2")  # the stages are not among these
    assert release(tmp_path / "cut") == "0731"
    rewritten.edit_config(tmp_path / "dspark", dspark_target_layer_ids=None, dspark_markov_rank=None, compress_ratios=[0, 0, 4, 128, 4, 128, 0])
    program.convert(tmp_path / "dspark", tmp_path / "by-tensors", "--layers", "2")
    assert release(tmp_path / "by-tensors") == "0731"
    assert release(library.folder("mini")) == "original"
    # A folder of a dsv4 that stated none.
    xml = (library.folder("mini") / "openvino_model.xml").read_text()
    shutil.copytree(library.folder("mini"), tmp_path / "older")
    (tmp_path / "older/openvino_model.xml").write_text(xml.replace('<release value="original" />', ""))
    (tmp_path / "older/dsv4_files.json").unlink()
    assert release(tmp_path / "older") == "original"
    (tmp_path / "older/openvino_model.xml").write_text(xml.replace('<release value="original" />', '<release value="0815" />'))
    program.refuse("inspect", tmp_path / "older", naming=["openvino_model.xml", "0815"])


@pytest.mark.parametrize("flags", [(), ("--weight-format", "fp16")], ids=["fp32", "fp16"])
def test_conversion_gives_the_same_bytes_again(library, tmp_path, flags):
    program.convert(goldens.CHECKPOINTS["hash"], tmp_path / "model", *flags)
    same_model(tmp_path / "model", library.folder("hash", *flags))


def test_model_folder_carries_the_checkpoints_other_files(tmp_path):
    source, folder = goldens.CHECKPOINTS["mini"], tmp_path / "model"
    program.convert(source, folder, "--disable-convert-tokenizer")
    carried = {"generation_config.json", "tokenizer.json", "LICENSE.md"}
    changed = {"config.json", "tokenizer_config.json"}
    made = {"README.md", "chat_template.jinja", "configuration_deepseek_v4.py", "dsv4_files.json", "openvino_config.json", "openvino_model.bin", "openvino_model.xml"}
    assert {path.name for path in folder.iterdir()} == carried | changed | made
    for name in carried:
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    tokenizer = json.loads((source / "tokenizer_config.json").read_text())
    tokenizer.update({name: tokenizer[name]["content"] for name in ("bos_token", "eos_token", "pad_token")}, padding_side="left")
    assert json.loads((folder / "tokenizer_config.json").read_text()) == tokenizer


def test_model_folder_has_tokenizer_models(library):
    made = ["openvino_tokenizer.bin", "openvino_tokenizer.xml", "openvino_detokenizer.bin", "openvino_detokenizer.xml"]
    assert set(made) <= {path.name for path in library.folder("mini").iterdir()}


def test_layers_cut_runs_and_passes_verify(tmp_path):
    program.convert(goldens.CHECKPOINTS["hash"], tmp_path / "model", "--layers", 3)
    assert json.loads((tmp_path / "model/config.json").read_text())["num_hidden_layers"] == 3
    check(goldens.CHECKPOINTS["hash"], tmp_path / "model")


def test_verify_fails_on_a_model_with_other_weights(library, tmp_path):
    program.succeed("synth", "toy", tmp_path / "other", "--seed", 1)
    outcome = program.run("verify", tmp_path / "other", library.folder("toy"), "--json")
    assert outcome.code == 1
    assert json.loads(outcome.out)["passed"] is False
    assert len(outcome.err.splitlines()) == 1 and "--tolerance" in outcome.err


def test_verify_reports_the_difference_of_given_tokens(library, tmp_path):
    golden = library.golden("toy")
    (tmp_path / "tokens.json").write_text(json.dumps(golden.tokens[:50].tolist()))
    by_file = program.verify(golden.checkpoint, library.folder("toy"), "--tokens-file", tmp_path / "tokens.json")
    by_list = program.verify(golden.checkpoint, library.folder("toy"), "--tokens", program.token_list(golden.tokens[:50]))
    assert by_file == by_list
    assert by_file["tokens"] == 50
    expected = float(np.abs(golden.references["logits_reference"][:50]).max())
    assert by_file["against_checkpoint"]["max_logit"] == pytest.approx(expected, rel=1e-4)
