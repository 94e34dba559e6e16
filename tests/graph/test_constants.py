# The constants of a model folder: named as in the checkpoint, equal to its dequantised weights, in the stated type, aligned.
import re

import numpy as np
import pytest

import goldens
from ir import Ir
from weights import Checkpoint

CACHE_LINE = 64
PAGE = 4096
# Float32 in every folder: published so (hyper-connections, sinks, position biases, router biases), and norms.
EXACT = re.compile(r"(hc_\w+_(fn|base|scale)|attn_sink|\.ape|gate\.bias|norm\.weight)$")
STACK = re.compile(r"layers\.(\d+)\.ffn\.experts\.(w1w3|w2)\.weight$")
SMALLEST_STEP_F16 = 2.0**-24


@pytest.fixture(scope="module", params=goldens.NAMES)
def checkpoint(request):
    found = Checkpoint(goldens.CHECKPOINTS[request.param])
    found.golden = request.param
    return found


def whole_weights(folder):
    """Constants with checkpoint names; the row groups of one matrix, which are constants of their own, put together again."""
    weights, groups = {}, {}
    for name, constant in Ir(folder).constants().items():
        if match := re.fullmatch(r"(.+\.weight)/rows\.(\d+)", name):
            groups.setdefault(match[1], {})[int(match[2])] = constant
        elif name.startswith(("layers.", "hc_head")) or name in ("embed.weight", "head.weight", "norm.weight"):
            weights[name] = (constant.type, constant.values)
    for name, parts in groups.items():
        ordered = [parts[index] for index in range(len(parts))]
        weights[name] = (ordered[0].type, np.concatenate([part.values for part in ordered]))
    return weights


def expected_names(checkpoint):
    names = set()
    for name in checkpoint.tensors:
        if name.endswith(".scale") or name.startswith("mtp."):
            continue
        match = re.fullmatch(r"(layers\.\d+\.ffn\.experts)\.\d+\.(w[123])\.weight", name)
        names.add(name if not match else f"{match[1]}.{'w2' if match[2] == 'w2' else 'w1w3'}.weight")
    return names


def expected_values(checkpoint, name):
    if match := STACK.fullmatch(name):
        return checkpoint.expert_stack(int(match[1]), ["w1", "w3"] if match[2] == "w1w3" else ["w2"])
    return checkpoint.weight(name)


@pytest.mark.parametrize("flags", [(), ("--disable-stateful",)], ids=["stateful", "prefill-only"])
def test_fp32_constants_equal_the_dequantised_checkpoint(library, checkpoint, flags):
    weights = whole_weights(library.folder(checkpoint.golden, *flags))
    assert set(weights) == expected_names(checkpoint)
    for name, (kind, values) in weights.items():
        expected = expected_values(checkpoint, name)
        assert kind == ("i32" if name.endswith("tid2eid") else "f32"), name
        assert values.shape == expected.shape, name
        assert (values == expected).all(), name


def test_fp16_constants_are_the_nearest_float16_and_exact_ones_stay_float32(library, checkpoint):
    weights = whole_weights(library.folder(checkpoint.golden, "--weight-format", "fp16"))
    assert set(weights) == expected_names(checkpoint)
    for name, (kind, values) in weights.items():
        expected = expected_values(checkpoint, name)
        if name.endswith("tid2eid"):
            assert kind == "i32" and (values == expected).all(), name
        elif EXACT.search(name):
            assert kind == "f32" and (values == expected).all(), name
        else:
            assert kind == "f16", name
            nearest = expected.astype(np.float16)  # numpy rounds to nearest, ties to even
            assert (values.view(np.uint16) == nearest.view(np.uint16)).all(), name
            error = np.abs(values.astype(np.float32) - expected)
            assert error.max() <= SMALLEST_STEP_F16 / 2, name


def test_fp16_constants_are_decompressed_by_a_marked_convert(library):
    # The mark keeps plugins from folding the Convert, which would double the memory.
    ir = Ir(library.folder("toy", "--weight-format", "fp16"))
    mark = "rt_info/attribute[@name='decompression']"
    marked = {element.get("id") for element in ir.root.find("layers") if element.find(mark) is not None}
    converted = {}
    for layer in ir.of_type("Convert"):
        source = ir.source(layer, 0)
        if source.type == "Const" and source.data["element_type"] == "f16":
            converted[layer.id] = source.name
    assert converted
    assert {name for id_, name in converted.items() if id_ not in marked} == set()


@pytest.mark.parametrize("flags", [(), ("--weight-format", "fp16")], ids=["fp32", "fp16"])
def test_constants_are_aligned_and_do_not_overlap(library, checkpoint, flags):
    folder = library.folder(checkpoint.golden, *flags)
    size = (folder / "openvino_model.bin").stat().st_size
    planned = {name: constant for name, constant in Ir(folder).constants().items() if re.match(r"(layers\.|embed|head|norm|hc_head)", name)}
    for name, constant in planned.items():
        assert constant.offset % (PAGE if STACK.fullmatch(name) else CACHE_LINE) == 0, name
        assert constant.bytes == constant.values.nbytes
    spans = sorted({(constant.offset, constant.offset + constant.bytes) for constant in planned.values()})
    assert spans[-1][1] <= size
    for (_, end), (begin, _) in zip(spans, spans[1:]):
        assert end <= begin


def test_layers_cut_keeps_the_first_layers_only(library, checkpoint):
    count = 3
    weights = whole_weights(library.folder(checkpoint.golden, "--layers", str(count)))
    kept = {name for name in expected_names(checkpoint) if not name.startswith("layers.") or int(name.split(".")[1]) < count}
    assert set(weights) == kept
