# Files that are cut while they are read: every command ends with exit code 1 and one line that names the file, whoever mapped it.
import os
import shutil
import subprocess
import time

import pytest

import goldens
import program

MANY = program.token_list([7, 11, 13] * 350)


def start_and_cut(arguments, file, size):
    """Starts the program, cuts `file` as soon as it is mapped, and reads the refusal."""
    process = subprocess.Popen([program.executable(), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with open(f"/proc/{process.pid}/maps") as maps:
                if str(file) in maps.read():
                    break
        except OSError:  # it has ended, or is about to begin
            pass
        time.sleep(0.002)
    os.truncate(file, size)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 1, (process.returncode, err)
    *notices, line = err.splitlines()
    assert line.startswith("dsv4: error: ") and file.name in line and len(line) < 2000, err
    assert all(notice.startswith("dsv4: ") and "error" not in notice for notice in notices), err


@pytest.fixture
def folder(library, tmp_path):
    shutil.copytree(library.folder("mini"), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def tokens_file(tmp_path):
    (tmp_path / "tokens").write_text(MANY)
    return tmp_path / "tokens"


@pytest.mark.parametrize("which", ["cpu", "portable"])
@pytest.mark.parametrize("kept", ["nothing", "half", "all but a byte"])
def test_weights_cut_while_a_prompt_runs(folder, tokens_file, which, kept):
    weights = folder / "openvino_model.bin"
    size = {"nothing": 0, "half": weights.stat().st_size // 2, "all but a byte": weights.stat().st_size - 1}[kept]
    start_and_cut(["run", folder, "--tokens-file", tokens_file, "-n", 200, "--ignore-eos", "--program", which], weights, size)


def test_weights_cut_in_every_command(folder, tokens_file):
    weights = folder / "openvino_model.bin"
    whole = weights.read_bytes()
    for command in (["bench", folder, "-p", 512, "-n", 64], ["perplexity", folder, "--tokens-file", tokens_file],
                    ["perplexity", folder, "--tokens-file", tokens_file, "--program", "cpu"], ["verify", goldens.CHECKPOINTS["mini"], folder, "--length", 500]):
        start_and_cut(command, weights, 0)
        weights.write_bytes(whole)


@pytest.mark.parametrize("flags", [["--weight-format", "fp32"], ["--weight-format", "mxfp4"], ["--weight-format", "int4", "--group-size", "32", "--group-size-fallback", "adjust",
                                                                                              "--ratio", "0.5"]], ids=lambda flags: flags[1])
def test_a_shard_cut_while_it_is_converted(tmp_path, flags):
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(goldens.CHECKPOINTS["mini"], checkpoint)
    shard = checkpoint / "model.safetensors"
    start_and_cut(["convert", "-m", checkpoint, tmp_path / "out", *flags], shard, shard.stat().st_size // 2)
    assert not (tmp_path / "out").exists()


def test_a_shard_cut_while_it_is_verified(library, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(goldens.CHECKPOINTS["mini"], checkpoint)
    shard = checkpoint / "model.safetensors"
    start_and_cut(["verify", checkpoint, library.folder("mini"), "--length", 64], shard, shard.stat().st_size // 2)


def test_copied_weights_need_no_file(library, tmp_path):
    """With --weights load the file may be cut once it is copied."""
    folder = tmp_path / "model"
    shutil.copytree(library.folder("toy"), folder)
    command = [program.executable(), "run", folder, "--tokens", "1,2,3", "-n", "400", "--ignore-eos", "--program", "cpu", "--weights", "load"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    first = process.stdout.read(1)
    os.truncate(folder / "openvino_model.bin", 0)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert len((first + out).decode().split(",")) == 400
