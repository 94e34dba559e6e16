# A conversion that goes past the page cache, of a model that is large enough for that, on a drive and a file system that go wrong: the same bytes or one line.
import json
import os

import pytest

import goldens
import program

LIBRARY = program.executable().parent / "libdsv4_faulty_io.so"
CONFIG = json.loads((goldens.REPOSITORY / "benchmarks/configs/v4-flash-slice.json").read_text())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """V4-Flash's dimensions but for the vocabulary, one layer with 16 experts: 0.3 GB, above the 256 MiB from which on dsv4 reads and writes directly."""
    directory = tmp_path_factory.mktemp("direct")
    config = {**CONFIG, "num_hidden_layers": 1, "n_routed_experts": 16, "vocab_size": 8192, "compress_ratios": [0], "num_hash_layers": 0}
    (directory / "config.json").write_text(json.dumps(config))
    program.succeed("synth", directory / "config.json", directory / "checkpoint")
    return directory / "checkpoint"


def converted(checkpoint, output, suffix="", faults=""):
    """Files of the model by name, without the record of their making."""
    environment = {**os.environ, "LD_PRELOAD": str(LIBRARY), "DSV4_FAULTY_FILE": suffix, "DSV4_FAULTS": faults} if faults else None
    drop_from_page_cache(checkpoint)
    done = program.run("convert", "-m", checkpoint, output, "--weight-format", "int4", env=environment)
    return done, {file.name: file.read_bytes() for file in output.iterdir()} if output.is_dir() else {}


def drop_from_page_cache(directory):
    for file in directory.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


@pytest.fixture(scope="module")
def undisturbed(checkpoint, tmp_path_factory):
    done, files = converted(checkpoint, tmp_path_factory.mktemp("undisturbed") / "model")
    assert done.code == 0, done.err
    assert len(files["openvino_model.bin"]) > 1 << 28  # or none of this is tested
    return files


@pytest.mark.full
@pytest.mark.parametrize("suffix, faults", [
    (".safetensors", "short"), (".safetensors", "refuse-open"), (".safetensors", "refuse-reads"), (".safetensors", "eio=1,after=20"),
    (".safetensors", "hide-alignment,delay=2000"), ("openvino_model.bin", "short-writes"), ("openvino_model.bin", "refuse-open"),
    ("openvino_model.bin", "refuse-writes"), ("openvino_model.bin", "delay=2000")])
def test_gives_the_same_bytes(checkpoint, undisturbed, tmp_path, suffix, faults):
    done, files = converted(checkpoint, tmp_path / "model", suffix, faults)
    assert done.code == 0, done.err
    assert files == undisturbed


@pytest.mark.full
def test_a_full_disk_is_one_line_and_the_next_run_ends_well(checkpoint, undisturbed, tmp_path):
    done, files = converted(checkpoint, tmp_path / "model", "openvino_model.bin", "full-after=10")
    assert done.code == 1 and not files
    assert [line for line in done.err.splitlines() if line.startswith("dsv4: error: ")] == [done.err.splitlines()[-1]]
    assert "openvino_model.bin" in done.err.splitlines()[-1]
    done, files = converted(checkpoint, tmp_path / "model")
    assert done.code == 0, done.err
    assert files == undisturbed
