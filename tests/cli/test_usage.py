# Help, version and wrong usage: exit code 2 and one line.
import re

import pytest

import goldens
import program

COMMANDS = ["synth", "inspect", "convert", "verify", "run"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command):
    outcome = program.succeed(command, "--help")
    assert command in outcome.out and outcome.err == ""


def test_help_lists_every_command():
    outcome = program.succeed("--help")
    for command in COMMANDS:
        assert re.search(rf"^\s*{command}\s", outcome.out, re.MULTILINE)


def test_version():
    assert re.fullmatch(r"dsv4 \d+\.\d+\.\d+\S*\n", program.succeed("--version").out)


@pytest.mark.parametrize("arguments", [[], ["fly"], ["convert"], ["convert", "out"], ["run"], ["run", "m", "--tokens", "1", "-n", "x"],
                                       ["run", "m", "--tokens", "1", "-n", "-3"], ["run", "m", "--no-such-flag"], ["synth", "toy"],
                                       ["convert", "-m", "c", "o", "--layers", "0"], ["verify", "c"], ["inspect"]], ids=" ".join)
def test_wrong_usage(arguments, tmp_path):
    program.refuse(*arguments, code=2, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["int8", "int4", "mxfp4", "fp64"])
def test_weight_formats_that_are_not_there_are_named(tmp_path, kind):
    program.refuse("convert", "-m", goldens.CHECKPOINTS["toy"], tmp_path / "out", "--weight-format", kind, code=2, naming=[kind, "fp16"])
    assert list(tmp_path.iterdir()) == []


def test_a_text_prompt_names_the_tokenizer(library):
    program.refuse("run", library.folder("toy"), "-p", "In the beginning", code=2, naming=["tokenizer", "--tokens"])


def test_a_prompt_is_given_once(library, tmp_path):
    (tmp_path / "tokens").write_text("1,2")
    program.refuse("run", library.folder("toy"), code=2, naming=["--tokens"])
    program.refuse("run", library.folder("toy"), "--tokens", "1", "--tokens-file", tmp_path / "tokens", code=2, naming=["--tokens"])


def test_the_cpu_program_is_refused_by_name(library):
    program.refuse("run", library.folder("toy"), "--tokens", "1", "--program", "cpu", code=2, naming=["cpu", "portable"])


@pytest.mark.parametrize("flags", [["--temperature", "-1"], ["--temperature", "nan"], ["--top-p", "0"], ["--top-p", "1.5"]], ids=" ".join)
def test_sampling_options_out_of_range(library, flags):
    outcome = program.run("run", library.folder("toy"), "--tokens", "1,2", *flags)
    assert outcome.code in (1, 2) and outcome.out == ""
    assert len(outcome.err.splitlines()) == 1 and flags[0].lstrip("-") in outcome.err
