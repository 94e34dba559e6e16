# dsv4 verify on long contexts with the releases' top-k: near ties pass, a wrong selection of entries fails.
import json
import shutil

import numpy as np
import openvino as ov
import pytest
from openvino import opset15 as ops

import goldens
import program

LONG = goldens.TESTS / "data/oracle/long"
TOKENS = 2304  # 576 entries: 64 more than are selected


def verify(folder, tmp_path, name, count=TOKENS, seed=1):
    tokens = np.random.default_rng(seed).integers(0, 48, count)
    (tmp_path / "tokens").write_text(program.token_list(tokens))
    outcome = program.run("verify", LONG, folder, "--tokens-file", tmp_path / "tokens", "--program", name, "--json", "--threads", program.THREADS)
    return outcome, json.loads(outcome.out)


@pytest.fixture(scope="module")
def folder(library):
    output = library.directory / "long"
    program.convert(LONG, output)
    return output


@pytest.mark.parametrize("name", ["cpu", "portable"])
def test_the_right_selection_passes(folder, tmp_path, name):
    outcome, found = verify(folder, tmp_path, name)
    assert outcome.code == 0 and found["passed"]


@pytest.mark.full
@pytest.mark.parametrize("name", ["cpu", "portable"])
def test_near_ties_of_a_long_sequence_are_told_apart(folder, tmp_path, name):
    outcome, found = verify(folder, tmp_path, name, 16384)
    compared = (found["cpu"] if name == "cpu" else found)["against_prediction"]
    assert outcome.code == 0 and found["passed"]
    assert 0 < compared["near_ties"]["rows"] <= 164 and compared["max_difference"] < compared["near_ties"]["max_difference"]


@pytest.mark.parametrize("name", ["cpu", "portable"])
def test_one_entry_fewer_fails(library, tmp_path, name):
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(LONG, checkpoint)
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(dict(config, index_topk=511)))
    program.convert(checkpoint, tmp_path / "model")
    outcome, found = verify(tmp_path / "model", tmp_path, name)
    assert outcome.code == 1 and not found["passed"] and "differ by" in outcome.err


def rewritten(folder, directory, change):
    """The folder with its graph changed: change(model) returns how many places it changed."""
    shutil.copytree(folder, directory)
    (directory / "dsv4_files.json").unlink()  # which would refuse another .xml
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})
    model = core.read_model(directory / "openvino_model.xml")
    assert change(model) == 2  # the two layers with an indexer
    model.validate_nodes_and_infer_types()
    ov.save_model(model, directory / "openvino_model.xml", compress_to_fp16=False)
    return directory


def shift_entries(model):
    """Every selected entry becomes the one before it."""
    changed = 0
    for node in model.get_ops():
        if node.get_type_name() == "LogicalOr":  # the mask of the selected ones [B,S,1,capacity]
            users = list(node.output(0).get_target_inputs())
            axis, zero, one, most = (ops.constant(np.array([i], np.int64)) for i in (3, 0, 1, 2**31 - 1))
            first = ops.slice(node.output(0), zero, one, one, axis)
            rest = ops.slice(node.output(0), one, most, one, axis)
            shifted = ops.concat([rest, ops.logical_and(first, ops.logical_not(first))], 3)
            for user in users:
                user.replace_source_output(shifted.output(0))
            changed += 1
    return changed


def leave_index_keys_unrotated(model):
    """New entries [main 16 | index 16] keep their index half as it was before the rotation x * cos + swap(x) * sin."""
    changed = 0
    for node in model.get_ops():
        if node.get_type_name() == "ScatterNDUpdate" and node.get_output_partial_shape(0).rank == 4 and node.get_output_partial_shape(0)[3] == 32:
            rotated = node.input_value(2)
            total = rotated.get_node()
            assert total.get_type_name() == "Add"
            before = total.input_value(0).get_node().input_value(0)
            axis = ops.constant(np.array([3], np.int64))
            half = [ops.constant(np.array([i], np.int64)) for i in (0, 16, 32)]
            one = ops.constant(np.array([1], np.int64))
            joined = ops.concat([ops.slice(rotated, half[0], half[1], one, axis), ops.slice(before, half[1], half[2], one, axis)], 3)
            node.input(2).replace_source_output(joined.output(0))
            changed += 1
    return changed


@pytest.mark.parametrize("change", [shift_entries, leave_index_keys_unrotated])
def test_a_wrong_graph_fails(folder, tmp_path, change):
    outcome, found = verify(rewritten(folder, tmp_path / "model", change), tmp_path, "portable")
    assert outcome.code == 1, outcome.err
    assert not found["passed"] and "differ by" in outcome.err
