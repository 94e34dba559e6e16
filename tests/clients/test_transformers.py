# The configuration, tokenizer and generation settings of our folders in transformers, as optimum-intel and GenAI's users load them.
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import transformers
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

import program
from client_models import TEXTS
from goldens import REPOSITORY

LOAD_TOKENIZER = Path(__file__).parent / "program/load_tokenizer.py"


def test_config_keeps_every_field_of_the_checkpoint(clients, library):
    folder = clients.folder("mini", "fp32")
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert type(config).__name__ == "DeepseekV4Config" and config.model_type == "deepseek_v4"
    renamed = {"torch_dtype": "dtype"}  # transformers 5
    expected = dict(library.golden("mini").config)
    del expected["quantization_config"]  # of the checkpoint's weights; whoever reads it would refuse these or dequantise them
    yarn = expected.pop("rope_scaling")
    for name, value in expected.items():
        found = getattr(config, renamed.get(name, name))
        if name not in ("transformers_version", "torch_dtype"):
            assert found == value, name
    written = json.loads((folder / "config.json").read_text())
    assert written.pop("auto_map") == {"AutoConfig": "configuration_deepseek_v4.DeepseekV4Config"}
    assert written.pop("rope_parameters") == config.rope_parameters == {
        "main": {"rope_type": "default", "rope_theta": 10000, "partial_rotary_factor": 0.5},
        "compress": {"rope_type": yarn.pop("type"), "rope_theta": 160000, "partial_rotary_factor": 0.5, "attention_factor": 1.0, **yarn},
    }
    assert written == expected


def load_elsewhere(python, folder, directory):
    """The tokenizer of a folder in a release of transformers that runs in another Python, without leave to run the folder's code."""
    environment = dict(os.environ, HF_HUB_OFFLINE="1", HF_HOME=str(directory))
    done = subprocess.run([python, LOAD_TOKENIZER, folder, *TEXTS], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_loaded(found, clients):
    tokenizer = AutoTokenizer.from_pretrained(clients.folder("mini", "fp32"), trust_remote_code=True)
    expected = [tokenizer(text)["input_ids"] for text in TEXTS]
    length = max(map(len, expected))
    assert found["ids"] == [[1] * (length - len(row)) + row for row in expected]  # padded on the left with the end token
    assert found["mask"] == [[0] * (length - len(row)) + [1] * len(row) for row in expected]


def test_the_tokenizer_loads_without_the_folders_code(clients, tmp_path):
    found = load_elsewhere(sys.executable, clients.folder("mini", "fp32"), tmp_path)
    assert found["transformers"] == transformers.__version__
    check_loaded(found, clients)


def test_a_synthetic_tokenizer_loads_without_the_folders_code(tmp_path):
    program.succeed("synth", "toy", tmp_path / "checkpoint")
    program.convert(tmp_path / "checkpoint", tmp_path / "model")
    found = load_elsewhere(sys.executable, tmp_path / "model", tmp_path)
    assert found["padding_side"] == "left" and len({len(row) for row in found["ids"]}) == 1


@pytest.mark.full
@pytest.mark.parametrize("version", ["4.57", "5.23"])
def test_the_tokenizer_loads_in_other_releases_without_the_folders_code(clients, tmp_path, version):
    if version == "5.23" and sys.version_info < (3, 11):
        pytest.skip("transformers 5.23 needs CPython 3.11")
    found = load_elsewhere(REPOSITORY / f"build/venv-transformers{version}/bin/python", clients.folder("mini", "fp32"), tmp_path)
    assert found["transformers"].startswith(version + ".")
    check_loaded(found, clients)


def test_tokenizer_and_generation_config_load(clients):
    folder = clients.folder("mini", "fp32")
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1, 1)
    generation = GenerationConfig.from_pretrained(folder)
    assert (generation.bos_token_id, generation.eos_token_id, generation.do_sample, generation.temperature) == (0, 1, True, 1.0)
    made = GenerationConfig.from_pretrained(clients.folder("toy", "fp32"))  # the checkpoint has none
    assert (made.bos_token_id, made.eos_token_id, made.pad_token_id, made.do_sample) == (0, 1, 1, True)
