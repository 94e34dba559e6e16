# Help, version and wrong usage: exit code 2 and one line.
import re

import pytest

import goldens
import program

COMMANDS = ["synth", "inspect", "convert", "verify", "run", "chat", "serve", "perplexity", "tokenize", "detokenize", "encode-chat", "parse-chat", "bench", "completion", "help"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command):
    outcome = program.succeed(command, "--help")
    assert command in outcome.out and outcome.err == ""


def test_help_lists_every_command():
    outcome = program.succeed("--help")
    for command in COMMANDS:
        assert re.search(rf"^\s*{command}\s", outcome.out, re.MULTILINE)


@pytest.mark.parametrize("arguments", [[], ["fly"], ["convert"], ["convert", "out"], ["run"], ["run", "m", "--tokens", "1", "-n", "x"],
                                       ["run", "m", "--tokens", "1", "-n", "-3"], ["run", "m", "--no-such-flag"], ["synth", "toy"],
                                       ["convert", "-m", "c", "o", "--layers", "0"], ["verify", "c"], ["inspect"]], ids=" ".join)
def test_wrong_usage(arguments, tmp_path):
    program.refuse(*arguments, code=2, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["fp64", "INT4", "int2"])
def test_unknown_weight_formats_are_named(tmp_path, kind):
    program.refuse("convert", "-m", goldens.CHECKPOINTS["toy"], tmp_path / "out", "--weight-format", kind, code=2, naming=[kind, "mxfp4"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind, flags, naming", [
    ("fp16", ["--sym"], ["--sym", "int8 and int4"]),
    ("mxfp4", ["--sym"], ["--sym", "int8 and int4"]),
    ("int8", ["--group-size", "64"], ["--group-size", "int4"]),
    ("int8", ["--ratio", "0.5"], ["--ratio", "int4"]),
    ("int8", ["--all-layers"], ["--all-layers", "int4"]),
    ("int8", ["--backup-precision", "none"], ["--backup-precision", "int4 and mxfp4"]),
    ("fp32", ["--selection", "nncf"], ["--selection", "int8, int4 and mxfp4"]),
    ("int4", ["--ratio", "0"], ["--ratio 0", "more than 0"]),
    ("int4", ["--ratio", "1.01"], ["--ratio 1.01", "at most 1"]),
    ("int4", ["--ratio", "nan"], ["--ratio"]),
    ("int4", ["--group-size", "0"], ["--group-size 0"]),
    ("int4", ["--group-size", "-2"], ["--group-size -2"]),
    ("int4", ["--selection", "all"], ["--selection all", "trained"]),
    ("int4", ["--group-size-fallback", "skip"], ["--group-size-fallback skip", "adjust"]),
    ("int4", ["--backup-precision", "int4"], ["--backup-precision int4", "int8_asym"])], ids=str)
def test_options_that_do_not_fit_the_format(tmp_path, kind, flags, naming):
    program.refuse("convert", "-m", goldens.CHECKPOINTS["toy"], tmp_path / "out", "--weight-format", kind, *flags, code=2, naming=naming)
    assert list(tmp_path.iterdir()) == []


def test_a_group_size_that_fits_no_row_is_named(tmp_path):
    program.refuse("convert", "-m", goldens.CHECKPOINTS["toy"], tmp_path / "out", "--weight-format", "int4", "--group-size", "48",
                   naming=["--group-size 48", "layers.0.attn.wq_a.weight", "--group-size-fallback"])
    assert list(tmp_path.iterdir()) == []


def test_a_text_prompt_needs_a_tokenizer_in_the_folder(library):
    program.refuse("run", library.folder("toy"), "-p", "In the beginning", naming=["tokenizer.json", "--tokens"])


def test_a_prompt_is_given_once(library, tmp_path):
    (tmp_path / "tokens").write_text("1,2")
    program.refuse("run", library.folder("toy"), code=2, naming=["--tokens"])
    program.refuse("run", library.folder("toy"), "--tokens", "1", "--tokens-file", tmp_path / "tokens", code=2, naming=["--tokens"])
    program.refuse("run", library.folder("toy"), "--tokens", "1", "-p", "text", code=2, naming=["-p", "--tokens"])
    program.refuse("run", library.folder("toy"), "--tokens", "1", "--no-bos", code=2, naming=["--no-bos"])


@pytest.mark.parametrize("flag, known", [("--program", "auto, cpu, portable"), ("--activations", "int8, f32"), ("--weights", "auto, map, load, lock, stream"), ("--cache", "bf16, f32")])
def test_an_unknown_choice_is_refused_with_those_that_are_known(library, flag, known):
    program.refuse("run", library.folder("toy"), "--tokens", "1", flag, "fast", code=2, naming=[flag, "fast", known])


def test_the_cpu_program_is_refused_where_it_cannot_run(library):
    program.refuse("run", library.folder("toy"), "--tokens", "1", "--program", "cpu", "-d", "GPU", code=2, naming=["GPU", "--program portable"])
    program.refuse("run", library.folder("toy", "--disable-stateful"), "--tokens", "1", "--program", "cpu", naming=["prefill-only", "--program portable"])
    program.refuse("run", library.folder("toy"), "--tokens", "1", "--context", "5000", naming=["5000", "4096"])
    program.refuse("run", library.folder("toy"), "--tokens", "1,2,3", "--context", "2", naming=["3 tokens", "limited to 2"])
