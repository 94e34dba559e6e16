# Checkpoints that are damaged, incomplete or of another model: dsv4 convert and inspect refuse them in one line and leave nothing behind.
import os
import shutil
import struct

import numpy as np
import pytest

import goldens
import program
import safetensors_file
from rewritten import edit_config
from safetensors_file import Stored

TOY = goldens.CHECKPOINTS["toy"]


@pytest.fixture
def copy(tmp_path):
    """A toy checkpoint that a test may damage, alone in its directory's parent."""
    directory = tmp_path / "checkpoint"
    shutil.copytree(TOY, directory, ignore=shutil.ignore_patterns("expected*", "tokens*", "README*", "provenance*"))
    return directory


def refuse_convert(checkpoint, *flags, naming=()):
    parent = checkpoint.parent
    before = sorted(path.name for path in parent.iterdir()) if parent.exists() else []
    line = program.refuse("convert", "-m", checkpoint, parent / "out", *flags, naming=naming)
    assert sorted(path.name for path in parent.iterdir()) == before, "something was left behind"
    return line


def edit_tensors(directory, change):
    path = directory / "model.safetensors"
    tensors = safetensors_file.read(path)
    change(tensors)
    (directory / "model.safetensors.index.json").unlink(missing_ok=True)
    safetensors_file.write(path, tensors)


@pytest.mark.parametrize("keep", [0, 4, 100, 20000, -1])
def test_truncated_checkpoint(copy, keep):
    path = copy / "model.safetensors"
    os.truncate(path, keep if keep >= 0 else path.stat().st_size + keep)
    refuse_convert(copy, naming=["model.safetensors"])
    program.refuse("inspect", copy, naming=["model.safetensors"])


def test_checkpoint_without_a_shard(tmp_path):
    directory = tmp_path / "checkpoint"
    shutil.copytree(goldens.CHECKPOINTS["hash"], directory)
    (directory / "model-00002-of-00002.safetensors").unlink()
    refuse_convert(directory, naming=["model-00002-of-00002.safetensors"])


def test_checkpoint_with_a_header_that_lies(copy):
    path = copy / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[:8] = struct.pack("<Q", 2**63 - 1)
    path.write_bytes(content)
    refuse_convert(copy, naming=["model.safetensors"])


def test_checkpoint_with_a_tensor_of_another_shape(copy):
    edit_config(copy, q_lora_rank=96)
    refuse_convert(copy, naming=["layers.0.attn.wq_a.weight"])


def test_checkpoint_without_a_tensor(copy):
    edit_tensors(copy, lambda tensors: tensors.pop("layers.2.attn.indexer.wq_b.scale"))
    refuse_convert(copy, naming=["layers.2.attn.indexer.wq_b"])


def test_checkpoint_with_an_unknown_tensor(copy):
    edit_tensors(copy, lambda tensors: tensors.update({"layers.0.attn.wq_c.weight": Stored("F32", (1,), bytes(4))}))
    refuse_convert(copy, naming=["layers.0.attn.wq_c.weight"])


def test_scale_that_is_not_a_number_is_found_while_converting(copy):
    name = "layers.3.ffn.experts.7.w2.scale"  # in the last constant of the file: by then most of the output is written

    def change(tensors):
        tensors[name] = Stored("F8_E8M0", tensors[name].shape, tensors[name].data[:-1] + b"\xff")

    edit_tensors(copy, change)
    refuse_convert(copy, naming=["model.safetensors", name])


def test_weight_that_float16_cannot_hold(copy):
    def change(tensors):
        stored = tensors["head.weight"]
        tensors["head.weight"] = Stored("BF16", stored.shape, stored.data[:-2] + np.uint16(0x4780).tobytes())  # 65536

    edit_tensors(copy, change)
    refuse_convert(copy, "--weight-format", "fp16", naming=["model.safetensors", "head.weight", "65536", "fp32"])
    program.convert(copy, copy.parent / "out", "--weight-format", "fp32")


@pytest.mark.parametrize("name,value", [("layers.1.attn.wkv.weight", b"\x7f"), ("head.weight", b"\xc0\x7f"), ("layers.0.hc_attn_base", b"\0\0\x80\x7f")])
@pytest.mark.parametrize("weight_format", ["fp32", "fp16"])
def test_weight_that_is_not_a_finite_number(copy, name, value, weight_format):
    def change(tensors):
        stored = tensors[name]
        tensors[name] = Stored(stored.dtype, stored.shape, stored.data[:-len(value)] + value)

    edit_tensors(copy, change)
    refuse_convert(copy, "--weight-format", weight_format, naming=["model.safetensors", name, "damaged"])


@pytest.mark.parametrize("changes,naming", [
    (dict(model_type="deepseek_v41"), ["deepseek_v41"]), (dict(model_type="llama"), ["llama"]), (dict(model_type=None), ["model_type"]),
    (dict(hidden_size="128"), ["hidden_size"]), (dict(hidden_size=2**62), ["hidden_size"]), (dict(o_groups=3), ["o_groups"]),
    (dict(scoring_func="softmax"), ["scoring_func"]), (dict(compress_ratios=[0, 0]), ["compress_ratios"]),
    (dict(num_experts_per_tok=9), ["num_experts_per_tok"]),
])
def test_configs_that_are_refused_by_name(copy, changes, naming):
    edit_config(copy, **changes)
    refuse_convert(copy, naming=["config.json", *naming])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"model_type": "deepseek_v4"}', "[" * 100000])
def test_config_that_is_no_config(copy, text):
    (copy / "config.json").write_text(text)
    refuse_convert(copy, naming=["config.json"])


def test_more_layers_than_there_are(copy):
    refuse_convert(copy, "--layers", 5, naming=["--layers", "5", "4"])


def test_dry_run_writes_nothing_and_finds_the_same_errors(copy):
    before = sorted(copy.parent.iterdir())
    assert "openvino_model.bin" in program.succeed("convert", "-m", copy, copy.parent / "out", "--dry-run").out
    assert sorted(copy.parent.iterdir()) == before
    os.truncate(copy / "model.safetensors", 20000)
    refuse_convert(copy, "--dry-run", naming=["model.safetensors"])
