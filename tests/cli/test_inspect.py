# dsv4 inspect: its counts against those of the files, taken by the tests' own reader.
import json
from collections import Counter

import numpy as np
import pytest

import goldens
import program
import rewritten
from safetensors_file import Stored
from weights import Checkpoint


@pytest.mark.parametrize("name", goldens.NAMES)
def test_json_counts_what_the_files_hold(name):
    directory = goldens.CHECKPOINTS[name]
    found = json.loads(program.succeed("inspect", directory, "--json").out)
    checkpoint = Checkpoint(directory)
    tensors = list(checkpoint.tensors.values())
    ratios = checkpoint.config["compress_ratios"][:checkpoint.config["num_hidden_layers"]]
    assert found["layers"] == {"all": len(ratios), "sliding": ratios.count(0), "csa": ratios.count(4), "hca": ratios.count(128),
                               "hash_routed": checkpoint.config["num_hash_layers"]}
    for key, value in found["dims"].items():
        assert value == checkpoint.config[key], key
    assert found["tensors"] == len(tensors)
    assert found["bytes"] == sum(len(stored.data) for stored in tensors)
    assert found["tensors_by_dtype"] == dict(Counter(stored.dtype for stored in tensors))
    weights = {tensor: stored for tensor, stored in checkpoint.tensors.items() if not tensor.endswith(".scale")}
    logical = sum(int(np.prod(stored.shape)) * (2 if stored.dtype == "I8" else 1) for stored in weights.values())
    assert found["parameters"] <= logical  # expert ids and the MTP block need not count
    assert found["parameters"] > 0.5 * logical and 0 < found["active_parameters"] < found["parameters"]


@pytest.mark.parametrize("name", goldens.NAMES)
def test_text_names_the_sizes(library, name):
    config = library.golden(name).config
    text = program.succeed("inspect", goldens.CHECKPOINTS[name]).out
    for value in (config["vocab_size"], config["hidden_size"], config["n_routed_experts"], config["sliding_window"]):
        assert str(value) in text


@pytest.mark.parametrize("directory, kind, blocks", [(goldens.CHECKPOINTS["mini"], "NextN", 1), (goldens.DSPARK, "DSpark", 3)], ids=["mini", "dspark"])
def test_says_what_the_draft_is(directory, kind, blocks):
    drafts = {name: stored for name, stored in Checkpoint(directory).tensors.items() if name.startswith("mtp.")}
    found = json.loads(program.succeed("inspect", directory, "--json").out)["draft"]
    assert found == {"kind": kind, "blocks": blocks, "tensors": len(drafts), "bytes": sum(len(stored.data) for stored in drafts.values())}
    assert f"{kind}, {len(drafts)} tensors" in program.succeed("inspect", directory).out


def test_a_checkpoint_without_a_draft_has_none():
    assert json.loads(program.succeed("inspect", goldens.CHECKPOINTS["toy"], "--json").out)["draft"] is None
    assert "\ndraft" not in program.succeed("inspect", goldens.CHECKPOINTS["toy"]).out


def test_deep_reads_the_draft_too(tmp_path):
    checkpoint = Checkpoint(goldens.DSPARK)
    norm = checkpoint.tensors["mtp.0.main_norm.weight"]
    tensors = checkpoint.tensors | {"mtp.0.main_norm.weight": Stored(norm.dtype, norm.shape, b"\xc0\x7f" + bytes(norm.data[2:]))}
    rewritten.write(tmp_path / "nan", checkpoint.config, tensors)
    program.succeed("inspect", tmp_path / "nan")
    outcome = program.run("inspect", tmp_path / "nan", "--deep")
    assert outcome.code == 1 and 'tensor "mtp.0.main_norm.weight" holds nan' in outcome.err.splitlines()[-1]
