# Outputs of dsv4 convert and synth: they appear whole or not at all, and nothing of the user's is lost.
import resource

import pytest

import goldens
import program

TOY = goldens.CHECKPOINTS["toy"]


def command_line(command, output):
    return ["convert", "-m", TOY, output] if command == "convert" else ["synth", "toy", output]


@pytest.mark.parametrize("command", ["convert", "synth"])
def test_existing_output_is_kept(tmp_path, command):
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.txt").write_text("years of work")
    program.refuse(*command_line(command, output), naming=[output])
    assert (output / "thesis.txt").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and [path.name for path in output.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("command", ["convert", "synth"])
def test_output_that_is_a_file_is_kept(tmp_path, command):
    output = tmp_path / "out"
    output.write_text("years of work")
    program.refuse(*command_line(command, output), naming=[output])
    assert output.read_text() == "years of work" and [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("command", ["convert", "synth"])
def test_output_below_a_file(tmp_path, command):
    (tmp_path / "file").write_text("years of work")
    output = tmp_path / "file/out"
    program.refuse(*command_line(command, output), naming=["file"])
    assert (tmp_path / "file").read_text() == "years of work"


@pytest.mark.parametrize("command", ["convert", "synth"])
@pytest.mark.parametrize("name", ["new/deep/out", "out/", "./out"])
def test_output_paths_of_every_form(tmp_path, command, name):
    program.succeed(*command_line(command, name), cwd=tmp_path)
    assert (tmp_path / name / "config.json").is_file()
    assert not list(tmp_path.rglob("*partial*"))


@pytest.mark.parametrize("command", ["convert", "synth"])
def test_an_empty_directory_is_filled(tmp_path, command):
    (tmp_path / "out").mkdir()
    program.succeed(*command_line(command, tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and (tmp_path / "out/config.json").is_file()


@pytest.mark.parametrize("command", ["convert", "synth"])
def test_a_write_that_fails_leaves_nothing(tmp_path, command):
    def at_most_one_megabyte():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # Python ignores SIGXFSZ and the program inherits it: writes fail

    program.refuse(*command_line(command, tmp_path / "out"), preexec_fn=at_most_one_megabyte, restore_signals=False)
    assert list(tmp_path.iterdir()) == []
