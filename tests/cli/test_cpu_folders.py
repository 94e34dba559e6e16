# Folders of the CPU program for clients (convert --program cpu): what dsv4 itself makes of them, and options that do not fit.
import json

import numpy as np
import program
import pytest


@pytest.fixture(scope="module")
def folders(library, tmp_path_factory):
    """The portable folder, the program over its weights, and the program from the checkpoint."""
    portable = library.folder("toy", "--weight-format", "int8")
    directory = tmp_path_factory.mktemp("cpu")
    program.succeed("convert", "--program", "cpu", "--from", portable, directory / "over")
    program.convert(library.golden("toy").checkpoint, directory / "from", "--program", "cpu", "--weight-format", "int8")
    return portable, directory / "over", directory / "from"


def test_there_is_one_weights_file(folders):
    portable, over, made = (folder / "openvino_model.bin" for folder in folders)
    assert over.samefile(portable)
    weights = made.read_bytes()
    assert portable.read_bytes()[:len(weights)] == weights  # the portable program has constants of its own behind them
    listed = [json.loads((folder / "dsv4_files.json").read_text())["files"] for folder in folders]
    assert listed[0].keys() == listed[1].keys() == listed[2].keys()
    assert listed[0]["openvino_model.bin"] == listed[1]["openvino_model.bin"]
    for name in ("config.json", "generation_config.json"):
        assert listed[0][name] == listed[1][name] == listed[2][name]


def test_the_card_says_how_to_load_it(folders, library, tmp_path):
    for folder in folders[1:]:
        card = (folder / "README.md").read_text()
        assert 'core.add_extension("libdsv4_ops.so")' in card and "activations int8, cache bf16" in card
    assert "libdsv4_ops.so" not in (folders[0] / "README.md").read_text()
    program.succeed("convert", "--program", "cpu", "--from", library.folder("mini", "--weight-format", "int8"), tmp_path / "mini")
    assert 'extensions=["libdsv4_ops.so"]' in (tmp_path / "mini/README.md").read_text()


def test_its_tokens_and_logits_are_those_of_the_portable_folder(folders, library, tmp_path):
    prompt = library.golden("toy").greedy[0][0]
    expected, *others = (program.generate(folder, prompt, 8)["tokens"] for folder in folders)
    assert others == [expected, expected]
    expected, *others = (program.logits(folder, prompt, tmp_path / "logits.npy") for folder in folders)
    for logits in others:
        np.testing.assert_array_equal(logits, expected)
    for weights in ("load", "stream"):
        assert program.generate(folders[1], prompt, 4, "--weights", weights)["tokens"] == program.generate(folders[0], prompt, 4)["tokens"]


def test_every_command_takes_it(folders, library, tmp_path):
    _, over, made = folders
    report = json.loads(program.succeed("inspect", over, "--json").out)
    assert report["program"] == "cpu, activations int8, cache bf16" and report["listed"]
    assert json.loads(program.succeed("inspect", folders[0], "--json").out)["program"] == "portable"
    outcome = program.succeed("verify", library.golden("toy").checkpoint, made, "--json", "--length", 16)
    assert "it alone is verified" in outcome.err and "portable" not in json.loads(outcome.out)
    (tmp_path / "ids").write_text(",".join(map(str, range(1, 40))))
    assert json.loads(program.succeed("perplexity", over, "--tokens-file", tmp_path / "ids", "--json").out)["tokens"] == 38
    assert json.loads(program.succeed("bench", over, "-p", 4, "-n", 4, "--json").out)["program"] == "cpu"


def test_a_program_over_a_program(folders, tmp_path):
    _, over, _ = folders
    program.succeed("convert", "--program", "cpu", "--from", over, tmp_path / "again", "--activations", "f32", "--cache", "f32")
    assert json.loads(program.succeed("inspect", tmp_path / "again", "--json").out)["program"] == "cpu, activations f32, cache f32"
    text = (tmp_path / "again/openvino_model.xml").read_text()
    assert 'int8_activations="false"' in text and 'f32_cache="true"' in text and 'int8_activations="true"' not in text


def test_the_portable_program_is_refused_by_name(folders):
    for arguments in (("run", folders[1], "--tokens", "1", "-n", 1), ("bench", folders[1])):
        program.refuse(*arguments, "--program", "portable", naming=["--program portable", "convert --program cpu"])


@pytest.mark.parametrize(("flags", "naming"), [
    (("--program", "cpu", "--disable-stateful"), "--disable-stateful"),
    (("--program", "cpu", "--disable-stateful", "--static-shape", "1,8"), "--disable-stateful"),
    (("--program", "cpu", "--static-shape", "1,8"), "--static-shape"),
    (("--program", "cpu", "--experts", "gather"), "--experts gather"),
    (("--program", "gpu"), "--program gpu"),
    (("--activations", "f32"), "--activations"),
    (("--cache", "f32"), "--cache"),
    (("--program", "cpu", "--activations", "int4"), "--activations int4"),
    (("--program", "cpu", "--cache", "fp8"), "--cache fp8"),
])
def test_options_that_do_not_go_together(library, tmp_path, flags, naming):
    program.refuse("convert", "-m", library.golden("toy").checkpoint, tmp_path / "out", *flags, code=2, naming=[naming])
    assert not (tmp_path / "out").exists()


def test_a_folder_or_a_checkpoint_and_not_both(folders, library, tmp_path):
    checkpoint, out = library.golden("toy").checkpoint, tmp_path / "out"
    program.refuse("convert", out, code=2, naming=["-m", "--from"])
    program.refuse("convert", "--from", folders[0], out, code=2, naming=["--program cpu"])
    for flags in (("-m", checkpoint), ("--weight-format", "int8"), ("--layers", 1), ("--dry-run",)):
        program.refuse("convert", "--program", "cpu", "--from", folders[0], out, *flags, code=2, naming=["--from"])
    program.refuse("convert", "--program", "cpu", "--from", checkpoint, out, naming=[checkpoint])
    program.refuse("convert", "--program", "cpu", "--from", folders[0], folders[0], naming=["output"])
    assert not out.exists()


def test_a_folder_that_is_not_as_listed_is_refused(library, tmp_path):
    portable = library.folder("toy", "--weight-format", "int8")
    damages = {
        "config.json": lambda text: text.replace('"swiglu_limit": 10', '"swiglu_limit": 11'),
        "openvino_model.xml": lambda text: text.replace("element_type=\"u8\"", "element_type=\"i8\"", 1),
    }
    for name, damage in damages.items():
        folder = tmp_path / name
        folder.mkdir()
        for file in portable.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        text = (folder / name).read_text()
        (folder / name).write_text(damage(text) if damage(text) != text else text + " ")
        program.refuse("convert", "--program", "cpu", "--from", folder, tmp_path / "out", naming=[name])
    gathered = library.folder("mini", "--weight-format", "int4", "--group-size", "32", "--experts", "gather")
    program.refuse("convert", "--program", "cpu", "--from", gathered, tmp_path / "out", naming=["--experts gather"])
    assert not (tmp_path / "out").exists()


def test_a_prefill_only_folder_has_the_weights_too(library, tmp_path):
    prefill = library.folder("toy", "--weight-format", "int8", "--disable-stateful")
    program.succeed("convert", "--program", "cpu", "--from", prefill, tmp_path / "out")
    prompt = library.golden("toy").greedy[0][0]
    assert program.generate(tmp_path / "out", prompt, 4)["tokens"] == program.generate(library.folder("toy", "--weight-format", "int8"), prompt, 4)["tokens"]
