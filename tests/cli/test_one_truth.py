# One truth in a model folder: a config.json that the IR contradicts is refused by field by every command, and end tokens are generation_config.json's.
import json
import re
import shutil

import pytest

import goldens
import program
from rewritten import edit_config


@pytest.fixture
def folder(library, tmp_path):
    shutil.copytree(library.folder("mini"), tmp_path / "mini")
    return tmp_path / "mini"


def commands(folder, tokens):
    return [("run", folder, "--tokens", "10,20,30", "-n", 4, "--program", "cpu"), ("run", folder, "--tokens", "10,20,30", "-n", 4, "--program", "portable"),
            ("perplexity", folder, "--tokens-file", tokens), ("bench", folder, "-p", 4, "-n", 2, "--repeats", 1),
            ("verify", goldens.CHECKPOINTS["mini"], folder, "--length", 8)]


@pytest.mark.parametrize("name,changes", [("num_hidden_layers", {"num_hidden_layers": 5}), ("sliding_window", {"sliding_window": 16}),
                                          ("index_topk", {"index_topk": 3}), ("compress_rope_theta", {"compress_rope_theta": 20000, "rope_parameters": None}),
                                          ("swiglu_limit", {"swiglu_limit": 0.5}), ("routed_scaling_factor", {"routed_scaling_factor": 3}),
                                          ("num_experts_per_tok", {"num_experts_per_tok": 1})])
def test_an_edited_field_is_refused_by_every_command(folder, tmp_path, name, changes):
    edit_config(folder, **changes)
    (tmp_path / "tokens").write_text("1,2,3,4")
    for arguments in commands(folder, tmp_path / "tokens"):
        program.refuse(*arguments, naming=[f"{folder / 'config.json'}: {name}", "was made with"])


def test_fields_that_the_model_does_not_depend_on_may_change(folder, tmp_path):
    before = program.generate(folder, [10, 20, 30], 8)["tokens"]
    edit_config(folder, transformers_version="9.9.9", _name_or_path="elsewhere", max_position_embeddings=1000, note={"a": 1})
    (tmp_path / "tokens").write_text("1,2,3,4")
    for arguments in commands(folder, tmp_path / "tokens"):
        program.succeed(*arguments)
    assert program.generate(folder, [10, 20, 30], 8)["tokens"] == before


def test_a_folder_that_states_nothing_runs_with_a_notice(folder, tmp_path):
    xml = folder / "openvino_model.xml"
    text, count = re.subn(r"<config>.*?</config>", "", xml.read_text(), flags=re.DOTALL)
    assert count == 1
    xml.write_text(text)
    (folder / "dsv4_files.json").unlink()  # which would refuse another .xml
    (tmp_path / "tokens").write_text("1,2,3,4")
    for arguments in commands(folder, tmp_path / "tokens"):
        lines = program.succeed(*arguments).err.splitlines()
        assert sum("before dsv4 0.2.0" in line for line in lines) == 1
        assert all(line.startswith("dsv4: ") for line in lines)


def test_ends_at_the_tokens_of_the_generation_config(library, tmp_path):
    prompt = library.golden("mini").tokens[:150].tolist()
    whole = program.generate(library.folder("mini"), prompt, 12, "--ignore-eos")["tokens"]
    end = whole[2]
    expected = whole[:whole.index(end) + 1]
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(goldens.CHECKPOINTS["mini"], checkpoint)
    for number, ends in enumerate((end, [1, end], [end])):
        generation = json.loads((goldens.CHECKPOINTS["mini"] / "generation_config.json").read_text())
        (checkpoint / "generation_config.json").write_text(json.dumps(dict(generation, eos_token_id=ends)))
        program.convert(checkpoint, tmp_path / str(number))
        for name in ("cpu", "portable"):
            found = program.generate(tmp_path / str(number), prompt, 12, "--program", name)
            assert found["tokens"] == expected and found["finish_reason"] == "stop"
    edit_config(tmp_path / "0", eos_token_id=end)
    (tmp_path / "0/generation_config.json").write_text("{}")
    assert program.generate(tmp_path / "0", prompt, 12)["tokens"] == expected


def test_end_tokens_that_are_no_ids_are_refused(folder, tmp_path):
    (folder / "generation_config.json").write_text('{"eos_token_id": [1, "</s>"]}')
    program.refuse("run", folder, "--tokens", "1,2", naming=[folder / "generation_config.json", "eos_token_id[1]", "</s>"])
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(goldens.CHECKPOINTS["mini"], checkpoint)
    (checkpoint / "generation_config.json").write_text('{"eos_token_id": 99999999}')
    outcome = program.run("convert", "-m", checkpoint, tmp_path / "out")
    error = outcome.err.splitlines()[-1]  # after a notice of the checkpoint
    assert outcome.code == 1 and error.startswith(f"dsv4: error: {checkpoint / 'generation_config.json'}: eos_token_id: found 99999999")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "mini"]
