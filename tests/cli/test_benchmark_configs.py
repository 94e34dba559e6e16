# The configs of benchmarks/configs: V4-Flash but for what each says, with the sizes that the benchmarks count on.
import json
import re

import pytest

import goldens
import manifest
import program

CONFIGS = goldens.REPOSITORY / "benchmarks/configs"
FLASH = json.loads((goldens.REPOSITORY / "tests/data/configs/deepseek-v4-flash.config.json").read_text())
RATIOS = "compress_ratios"
# What differs from V4-Flash, and gigabytes of the checkpoint and of the .bin in INT4.
MADE = {"v4-flash-slice": ({"n_routed_experts": 64, "num_hidden_layers": 4, "num_nextn_predict_layers": 0, RATIOS: FLASH[RATIOS][:4]}, 6.1, 4.7),
        "v4-flash-slice-128": ({"n_routed_experts": 128, "num_hidden_layers": 4, "num_nextn_predict_layers": 0, RATIOS: FLASH[RATIOS][:4]}, 9.6, 8.1),
        "v4-flash-deep": ({"n_routed_experts": 8, "num_nextn_predict_layers": 0, RATIOS: FLASH[RATIOS][:43]}, 13.4, 9.4)}


def test_every_config_is_looked_at():
    assert {file.stem for file in CONFIGS.iterdir()} == set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_is_v4_flash_but_for_its_size(name):
    changes, _, _ = MADE[name]
    assert json.loads((CONFIGS / f"{name}.json").read_text()) == {**FLASH, **changes}


@pytest.mark.parametrize("name", MADE)
def test_has_the_stated_size(tmp_path, name):
    _, checkpoint, int4 = MADE[name]
    program.succeed("synth", CONFIGS / f"{name}.json", tmp_path / "checkpoint", "--sparse")
    report = json.loads(program.succeed("inspect", tmp_path / "checkpoint", "--json").out)
    expected = manifest.Manifest(json.loads((CONFIGS / f"{name}.json").read_text()))
    assert (report["tensors"], report["bytes"]) == (len(expected.tensors), expected.bytes())
    assert report["bytes"] / 1e9 == pytest.approx(checkpoint, abs=0.05)
    plan = program.succeed("convert", "-m", tmp_path / "checkpoint", tmp_path / "model", "--weight-format", "int4", "--dry-run").out
    assert program.bytes_of(re.search(r"openvino_model.bin ([\d.]+ \w+)", plan)[1]) / 1e9 == pytest.approx(int4, abs=0.05)
