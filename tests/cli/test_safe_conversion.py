# Conversions from the outside: nothing is lost, nothing is mixed, and a folder can be checked.
import json
import os
import platform
import random
import resource
import shutil
import signal
import subprocess
import time

import pytest

import goldens
import program

HASH = goldens.CHECKPOINTS["hash"]
MINI = goldens.REPOSITORY / "models/mini"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def source(tmp_path):
    """A checkpoint that a test may change, alone with its outputs."""
    directory = tmp_path / "source"
    shutil.copytree(HASH, directory, ignore=shutil.ignore_patterns("expected*", "tokens*", "README*", "provenance*"))
    return directory


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two checkpoints of one model with other weights, and of equal sizes and times: 80 MB each, long enough to be interrupted."""
    directory = tmp_path_factory.mktemp("pair")
    config = json.loads((goldens.CHECKPOINTS["toy"] / "config.json").read_text())
    config.update(num_hidden_layers=1, compress_ratios=[0], num_nextn_predict_layers=0, hidden_size=512, moe_intermediate_size=1024, n_routed_experts=80, vocab_size=512)
    (directory / "config.json").write_text(json.dumps(config))
    sources = [directory / "one", directory / "two"]
    for seed, checkpoint in enumerate(sources):
        program.succeed("synth", directory / "config.json", checkpoint, "--seed", seed)
        for path in checkpoint.iterdir():
            os.utime(path, (1, 1))
    return sources


def begin(source, output, *flags, **options):
    command = [program.executable(), "convert", "-m", str(source), str(output), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def interrupted(source, output, *flags):
    """A conversion that a SIGTERM ended, with something finished; None on a machine that is too fast for it."""
    for pause in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8):
        process = begin(source, output, *flags)
        while process.poll() is None and not (output.parent / f"{output.name}.partial/openvino_model.bin").exists():
            time.sleep(0.001)
        time.sleep(pause)
        process.send_signal(signal.SIGTERM)
        err = process.communicate()[1]
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGTERM, err
        if "the same command goes on" in err:
            return err
    shutil.rmtree(output, ignore_errors=True)
    return None


def test_two_conversions_give_equal_folders(tmp_path):
    for name in ("a", "b"):
        program.convert(MINI, tmp_path / name / "model", "--weight-format", "int4", "--group-size", "32")
    assert contents(tmp_path / "a/model") == contents(tmp_path / "b/model")
    listed = json.loads((tmp_path / "a/model/dsv4_files.json").read_text())["files"]
    files = contents(tmp_path / "a/model")
    assert set(listed) == set(files) - {"dsv4_files.json"}
    assert {name: entry["bytes"] for name, entry in listed.items()} == {name: len(files[name]) for name in listed}


def test_inspect_says_what_a_folder_is(tmp_path):
    program.convert(MINI, tmp_path / "model", "--weight-format", "int4", "--group-size", "32")
    text = program.succeed("inspect", tmp_path / "model").out
    for part in ("int4", "groups of 32", "dsv4 ", "custom", "openvino_model.bin", "all as dsv4_files.json says"):
        assert part in text
    found = json.loads(program.succeed("inspect", tmp_path / "model", "--json").out)
    assert found["listed"] and found["bytes"] == sum(entry["bytes"] for entry in found["files"])
    assert {entry["name"] for entry in found["files"]} == {path.name for path in (tmp_path / "model").iterdir()} - {"dsv4_files.json"}


@pytest.mark.parametrize("name", ["openvino_model.bin", "openvino_model.xml", "config.json", "README.md"])
def test_inspect_finds_a_changed_bit_a_missing_and_a_cut_file(tmp_path, name):
    program.convert(HASH, tmp_path / "model", "--weight-format", "int8")
    path = tmp_path / "model" / name
    whole = path.read_bytes()
    at = random.Random(name).randrange(len(whole))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
    program.refuse("inspect", tmp_path / "model", naming=[name, "other contents"])
    path.write_bytes(whole[:-1])
    program.refuse("inspect", tmp_path / "model", naming=[name, str(len(whole))])
    path.unlink()
    program.refuse("inspect", tmp_path / "model", naming=[name, "missing"])
    path.write_bytes(whole)
    program.succeed("inspect", tmp_path / "model")


def test_inspect_of_a_folder_without_a_list_and_with_a_file_more(tmp_path):
    program.convert(HASH, tmp_path / "model", "--weight-format", "int8")
    (tmp_path / "model/mine.txt").write_text("mine")
    assert "mine.txt" in program.succeed("inspect", tmp_path / "model").err
    (tmp_path / "model/dsv4_files.json").unlink()
    outcome = program.succeed("inspect", tmp_path / "model")
    assert "dsv4_files.json" in outcome.err and "not checked" in outcome.out


def test_what_is_wrong_with_a_small_file_is_known_before_the_weights(source):
    def refuse(naming):
        program.refuse("convert", "-m", source, source.parent / "out", "--weight-format", "int8", naming=naming)
        assert [path.name for path in source.parent.iterdir()] == ["source"], "something was left behind"

    for name in ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"):
        (source / name).write_text("{")
        refuse([name])
        (source / name).unlink()
    for name in ("LICENSE", "generation_config.json", "chat_template.jinja"):
        (source / name).mkdir()
        refuse([name, "is a directory"])
        (source / name).rmdir()
        os.mkfifo(source / name)
        refuse([name, "not a regular file"])
        (source / name).unlink()


def test_other_weights_of_equal_size_and_time_are_never_mixed(pair, tmp_path):
    if interrupted(pair[0], tmp_path / "model", "--weight-format", "fp32") is None:
        pytest.skip("the conversion was over before it could be interrupted")
    outcome = program.convert(pair[1], tmp_path / "model", "--weight-format", "fp32")
    assert "starts anew" in outcome.err and "checkpoint file" in outcome.err
    program.convert(pair[1], tmp_path / "right/model", "--weight-format", "fp32")
    assert contents(tmp_path / "model") == contents(tmp_path / "right/model")


def test_other_graph_options_leave_nothing_of_the_first(pair, tmp_path):
    if interrupted(pair[0], tmp_path / "model", "--weight-format", "fp32") is None:
        pytest.skip("the conversion was over before it could be interrupted")
    assert "graph options" in program.convert(pair[0], tmp_path / "model", "--weight-format", "fp32", "--disable-stateful").err
    program.convert(pair[0], tmp_path / "right/model", "--weight-format", "fp32", "--disable-stateful")
    assert contents(tmp_path / "model") == contents(tmp_path / "right/model")


@pytest.mark.parametrize("flags", [("--weight-format", "fp32"), ("--weight-format", "int4", "--group-size-fallback", "adjust", "--ratio", "0.5")], ids=["weights", "ratio"])
def test_a_signal_is_honoured_whenever_it_comes(pair, tmp_path, flags):
    start = time.monotonic()
    program.convert(pair[0], tmp_path / "right/model", *flags)
    whole = time.monotonic() - start
    for step in range(8):
        process = begin(pair[0], tmp_path / "out/model", *flags)
        time.sleep(whole * (step + 0.5) / 8)
        number = (signal.SIGINT, signal.SIGTERM)[step % 2]
        process.send_signal(number)
        err = process.communicate()[1]
        if process.returncode == 0:
            break
        assert process.returncode == -number, err
        assert "interrupted" in err or err == "", "before the handler was there"
        assert not (tmp_path / "out/model").exists()
    if not (tmp_path / "out/model").exists():
        program.convert(pair[0], tmp_path / "out/model", *flags)
    assert contents(tmp_path / "out/model") == contents(tmp_path / "right/model")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]


@pytest.mark.parametrize("limit", [1 << 10, 1 << 20], ids=["small files", "weights"])
def test_a_limit_of_file_size_is_an_error_with_its_line(tmp_path, limit):
    program.refuse("convert", "-m", HASH, tmp_path / "model", "--weight-format", "fp32", naming=["File too large", "model.partial"],
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert list(tmp_path.iterdir()) == []
    program.convert(HASH, tmp_path / "model", "--weight-format", "fp32")


def test_an_output_that_is_a_link_or_a_folder_gets_the_model(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    (tmp_path / "empty").mkdir()
    for output in ("out", "empty", "new"):
        program.convert(HASH, tmp_path / output, "--weight-format", "int8")
    assert (tmp_path / "out").is_symlink()
    assert contents(tmp_path / "real") == contents(tmp_path / "empty") == contents(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "new", "out", "real"]


def test_two_conversions_at_once_make_one_model(pair, tmp_path):
    for _ in range(3):
        both = [begin(pair[0], tmp_path / "out/model", "--weight-format", "int8") for _ in range(2)]
        errors = [process.communicate()[1] for process in both]
        codes = [process.returncode for process in both]
        assert sorted(codes) == [0, 1], errors
        refusal = errors[codes.index(1)]
        assert "another conversion" in refusal or "exists" in refusal
        program.succeed("inspect", tmp_path / "out/model")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]
        shutil.rmtree(tmp_path / "out")


@pytest.mark.full
def test_a_second_conversion_at_the_moment_the_first_finishes(pair, tmp_path):
    """The first waits half a second in each of its last steps; seconds are started all along."""
    if shutil.which("strace") is None or platform.machine() != "x86_64":
        pytest.skip("strace is not installed, or the calls have other names on this processor")
    slow = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,unlink,rmdir", "-e", "inject=rename,unlink,rmdir:delay_enter=500000"]
    command = [program.executable(), "convert", "-m", str(pair[0]), str(tmp_path / "out/model"), "--weight-format", "int8"]
    first = subprocess.Popen([*slow, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "out/model.partial/.dsv4-progress.json").exists() and first.poll() is None:
        time.sleep(0.001)
    refusals = 0
    while first.poll() is None:
        err = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False).stderr
        assert "another conversion" in err or "exists and is not empty" in err
        refusals += 1
    assert first.returncode == 0, first.stderr.read()
    assert refusals > 3
    program.succeed("inspect", tmp_path / "out/model")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]
