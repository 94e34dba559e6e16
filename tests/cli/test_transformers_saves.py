# What releases of transformers write with save_pretrained (tests/data/saves), read as it is: the logits are those that the release itself computed.
import json
import subprocess

import numpy as np
import pytest

import program
import safetensors_file
from goldens import REPOSITORY, TESTS

SAVES = TESTS / "data/saves"
VERSIONS = sorted(path.parent.name for path in SAVES.glob("*/config.json"))


def check(save, directory):
    """Both programs give the logits of the save."""
    program.convert(save, directory / "model")
    expected = safetensors_file.read_arrays(save / "expected.safetensors")
    for which in ("portable", "cpu"):
        found = program.logits(directory / "model", expected["tokens"], directory / "logits.npy", "--program", which)
        assert np.abs(found - expected["logits"]).max() < 1e-4 * np.abs(expected["logits"]).max(), which


def test_there_are_saves_of_several_releases():
    assert {"5.12", "5.17", "5.23"} <= {".".join(version.split(".")[:2]) for version in VERSIONS}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_save_gives_the_logits_of_its_release(tmp_path, version):
    assert json.loads((SAVES / version / "provenance.json").read_text())["transformers"] == version
    assert program.succeed("inspect", SAVES / version).err == "dsv4: expert_dtype is not in config.json; the tensors are BF16\n"
    check(SAVES / version, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("version", [version for version in VERSIONS if version.startswith(("5.17.", "5.23."))])
def test_a_save_made_anew_is_the_committed_one(tmp_path, version):
    python = REPOSITORY / f"build/venv-transformers{version[:4]}/bin/python"
    subprocess.run([python, SAVES / "make.py", tmp_path / "save"], stdin=subprocess.DEVNULL, check=True, timeout=300)
    for name in ("config.json", "generation_config.json"):
        assert (tmp_path / "save" / name).read_bytes() == (SAVES / version / name).read_bytes()
    anew, committed = safetensors_file.read(tmp_path / "save/model.safetensors"), safetensors_file.read(SAVES / version / "model.safetensors")
    assert {name: (stored.dtype, stored.shape) for name, stored in anew.items()} == {name: (stored.dtype, stored.shape) for name, stored in committed.items()}
    check(tmp_path / "save", tmp_path)
