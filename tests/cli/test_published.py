# --weight-format published: the folder holds the released bits, both programs compute with them exactly, and what it cannot keep is refused by name.
import json

import numpy as np
import pytest

import goldens
import program
import rewritten
import safetensors_file
import variants
import weights
from ir import Ir
from safetensors_file import Stored
from weights import E4M3, E8M0, Checkpoint

PUBLISHED = ("--weight-format", "published")


def check_logits(checkpoint, folder, length=96):
    """Both programs, against the weights as published and as stored."""
    result = program.verify(checkpoint, folder, "--length", length)
    assert result["passed"] is True
    for compared in (result, result["cpu"]):
        for against in ("against_checkpoint", "against_prediction"):
            assert compared[against]["max_difference"] <= 1e-4 * compared[against]["max_logit"]
            assert compared[against]["greedy_match"] == result["tokens"]
    assert result["against_checkpoint"]["max_logit"] > 0.1
    return result


def source_bytes(checkpoint):
    """Of the tensors that a folder holds: all but mtp.* and expert tables, which are half as wide there."""
    tables = sum(len(stored.data) for name, stored in checkpoint.tensors.items() if name.endswith("tid2eid"))
    return sum(len(stored.data) for name, stored in checkpoint.tensors.items() if not name.startswith("mtp.")) - tables // 2


def values_of(ir, name):
    """What a constant's bytes stand for, by numpy alone."""
    constant = ir.constants()[name]
    data = ir.bin[constant.offset:constant.offset + constant.bytes]
    if constant.type == "bf16":
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(constant.shape)
    scale = ir.constants()[f"{name}/scale"]
    scales = ir.bin[scale.offset:scale.offset + scale.bytes]
    scales = (scales.view(np.float32) if scale.type == "f32" else E8M0[scales]).reshape(scale.shape)
    if constant.type == "f4e2m1":
        codes = np.stack([data & 15, data >> 4], axis=-1).reshape(constant.shape)
        values = weights.E2M1[codes] * scales
        return values.reshape(*constant.shape[:-2], -1)
    assert constant.type == "f8e4m3"
    values = E4M3[data].reshape(constant.shape) * scales
    *stack, blocks, rows, groups, inputs = constant.shape
    return values.reshape(*stack, blocks * rows, groups * inputs)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    directory = tmp_path_factory.mktemp("base") / "checkpoint"
    rewritten.write_base(goldens.CHECKPOINTS["toy"], directory)
    return directory


@pytest.mark.parametrize("name", ["toy", "hash", "mini", "base"])
@pytest.mark.parametrize("experts", ["grouped", "gather"])
def test_both_programs_compute_with_the_published_weights(library, base, tmp_path, name, experts):
    checkpoint = base if name == "base" else goldens.CHECKPOINTS[name]
    program.convert(checkpoint, tmp_path / "model", *PUBLISHED, "--experts", experts)
    check_logits(checkpoint, tmp_path / "model")


@pytest.mark.parametrize("name", ["toy", "hash", "mini", "base"])
def test_every_published_value_is_in_the_folder_and_nothing_more(base, tmp_path, name):
    directory = base if name == "base" else goldens.CHECKPOINTS[name]
    program.convert(directory, tmp_path / "model", *PUBLISHED)
    checkpoint, ir = Checkpoint(directory), Ir(tmp_path / "model")
    kinds = set()
    for tensor, stored in checkpoint.tensors.items():
        if tensor.startswith("mtp.") or ".experts." in tensor or not tensor.endswith(".weight") or len(stored.shape) < 2:
            continue
        expected = checkpoint.weight(tensor)
        names = [tensor] if tensor in ir.constants() else [f"{tensor}/rows.{g}" for g in range(checkpoint.config["o_groups"])]
        np.testing.assert_array_equal(np.concatenate([values_of(ir, part) for part in names]), expected, err_msg=tensor)
        kinds.add(ir.constants()[names[0]].type)
    for layer in range(checkpoint.config["num_hidden_layers"]):
        for stack, parts in (("w1w3", ["w1", "w3"]), ("w2", ["w2"])):
            constant = f"layers.{layer}.ffn.experts.{stack}.weight"
            np.testing.assert_array_equal(values_of(ir, constant), checkpoint.expert_stack(layer, parts), err_msg=constant)
            kinds.add(ir.constants()[constant].type)
    assert kinds == ({"bf16", "f8e4m3"} if name == "base" else {"bf16", "f8e4m3", "f4e2m1"})
    # Norms become float32; every constant begins at 64 bytes, stacks at a page; the last part are the graph's own constants.
    norms = sum(len(stored.data) for tensor, stored in checkpoint.tensors.items() if tensor.endswith("norm.weight"))
    starts = sorted((constant.offset, constant.bytes) for constant in ir.constants().values())
    padding = sum(max(0, after - begin - size) for (begin, size), (after, _) in zip(starts, starts[1:]))
    weights_end = max(c.offset + c.bytes for n, c in ir.constants().items() if n.removesuffix("/scale").endswith(".weight"))
    expected = source_bytes(checkpoint)
    assert abs(weights_end - padding - norms - expected) <= 0.01 * expected


@pytest.mark.parametrize("name", sorted(variants.VARIANTS))
def test_synthetic_variants_pass_verify(tmp_path, name):
    """Dims that 128 does not divide, one group of outputs, experts in FP8, and so on."""
    config = variants.write_config(name, tmp_path / "config.json")
    program.succeed("synth", config, tmp_path / "checkpoint", "--seed", 5)
    program.convert(tmp_path / "checkpoint", tmp_path / "model", *PUBLISHED)
    check_logits(tmp_path / "checkpoint", tmp_path / "model", length=180)


def test_a_transformers_save_keeps_its_bf16(tmp_path):
    rewritten.write_transformers(goldens.CHECKPOINTS["toy"], tmp_path / "checkpoint")
    program.convert(tmp_path / "checkpoint", tmp_path / "model", *PUBLISHED)
    result = check_logits(tmp_path / "checkpoint", tmp_path / "model")
    assert "f8e4m3" not in json.dumps(result["tensors"]) and result["tensors"]["bf16"] > 0


def test_generated_tokens_are_those_of_the_exact_folder(library, tmp_path):
    golden = library.golden("mini")
    program.convert(golden.checkpoint, tmp_path / "model", *PUBLISHED)
    prompt = golden.tokens[:40].tolist()
    exact = program.generate(library.folder("mini"), prompt, 24)["tokens"]
    for flags in ((), ("--program", "portable")):
        assert program.generate(tmp_path / "model", prompt, 24, *flags)["tokens"] == exact


def with_changed(directory, source, change):
    checkpoint = Checkpoint(source)
    tensors = dict(checkpoint.tensors)
    change(tensors)
    rewritten.write(directory, checkpoint.config, tensors)
    return directory


def test_a_damaged_fp8_weight_is_refused_by_its_name(tmp_path):
    name = "layers.1.attn.wq_b.weight"

    def nan(tensors):
        data = bytearray(tensors[name].data)
        data[77] = 0xFF
        tensors[name] = Stored("F8_E4M3", tensors[name].shape, bytes(data))

    def scale(tensors):
        key = name.replace(".weight", ".scale")
        tensors[key] = Stored("F8_E8M0", tensors[key].shape, bytes([255] * len(tensors[key].data)))

    for at, (change, said) in enumerate([(nan, "wq_b.weight"), (scale, "wq_b.scale")]):
        directory = with_changed(tmp_path / f"damaged{at}", goldens.CHECKPOINTS["toy"], change)
        program.refuse("convert", "-m", directory, tmp_path / "out", *PUBLISHED, naming=["model.safetensors", said, "nan", "damaged"])
        assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


def nvfp4(tensors):
    """The experts' FP4 codes under scales of 16."""
    for name in [name for name in tensors if ".ffn.experts." in name and name.endswith(".weight") and name.startswith("layers.")]:
        codes = tensors[name]
        rows, half = codes.shape
        tensors[name] = Stored("U8", codes.shape, codes.data)
        del tensors[name.replace(".weight", ".scale")]
        tensors[f"{name}_scale"] = Stored("F8_E4M3", (rows, half // 8), bytes([0x31]) * (rows * half // 8))
        tensors[f"{name}_scale_2"] = Stored("F32", (), np.float32(0.01).tobytes())


def int4(tensors):
    """compressed-tensors W4A16, a scale a row."""
    for name in [name for name in tensors if ".ffn.experts." in name and name.endswith(".weight") and name.startswith("layers.")]:
        codes = tensors.pop(name)
        rows, half = codes.shape
        del tensors[name.replace(".weight", ".scale")]
        tensors[f"{name}_packed"] = Stored("I32", (rows, half // 4), codes.data)
        tensors[f"{name}_scale"] = Stored("F32", (rows, 1), np.full(rows, 0.01, np.float32).tobytes())
        tensors[f"{name}_shape"] = Stored("I64", (2,), np.array([rows, 2 * half], np.int64).tobytes())


@pytest.mark.parametrize(("change", "said"), [(nvfp4, ["NVFP4", "mxfp4"]), (int4, ["INT4", "int4"])], ids=["nvfp4", "w4a16"])
def test_experts_in_another_form_are_refused_with_what_to_take(tmp_path, change, said):
    directory = with_changed(tmp_path / "other", goldens.CHECKPOINTS["toy"], change)
    rewritten.edit_config(directory, expert_dtype=None)
    if change is int4:
        group = {"weights": {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "channel"}, "targets": ["Linear"]}
        rewritten.edit_config(directory, quantization_config={"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": group}})
    program.succeed("inspect", directory)
    notice, line = program.run("convert", "-m", directory, tmp_path / "out", *PUBLISHED).err.splitlines()
    assert notice.startswith("dsv4: expert_dtype")
    assert line.startswith("dsv4: error: --weight-format published keeps")
    for text in ("layers.0.ffn.experts.0.w1.weight", "choose", *said):
        assert text in line
    assert list(tmp_path.iterdir()) == [directory]


@pytest.mark.parametrize("option", [["--sym"], ["--group-size", "64"], ["--ratio", "0.5"], ["--all-layers"], ["--backup-precision", "none"], ["--selection", "nncf"]])
def test_options_of_compression_do_not_apply(tmp_path, option):
    program.refuse("convert", "-m", goldens.CHECKPOINTS["toy"], tmp_path / "out", *PUBLISHED, *option, code=2, naming=[option[0], "published"])


def test_the_card_and_the_plan_say_what_is_kept(tmp_path):
    plan = program.succeed("convert", "-m", goldens.CHECKPOINTS["toy"], tmp_path / "out", *PUBLISHED, "--dry-run").out
    for line in ("FP8", "f8e4m3, f8e8m0 scales of 128 x 64", "f4e2m1, e8m0 scales of 32", "bf16"):
        assert line in plan
    program.convert(goldens.CHECKPOINTS["toy"], tmp_path / "out", *PUBLISHED)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "`--weight-format` published" in card and "f8e4m3" in card
    assert "four times" in card, "what OpenVINO's CPU plugin makes of FP8"
    config = json.loads((tmp_path / "out" / "openvino_config.json").read_text())
    assert config["dtype"] == "published" and config["quantization_config"] is None
