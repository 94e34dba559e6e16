# What the ecosystem relies on in a model folder: inputs, outputs, state, standard operations only.
import re

import pytest

import goldens
from ir import Ir

STATEFUL = ()
PREFILL = ("--disable-stateful",)
FP16 = ("--weight-format", "fp16")
FORMS = [(name, flags) for name in goldens.NAMES for flags in (STATEFUL, PREFILL, FP16)]


@pytest.fixture(scope="module", params=FORMS, ids=lambda form: "-".join([form[0], *form[1]]))
def any_ir(request, library):
    name, flags = request.param
    return Ir(library.folder(name, *flags))


@pytest.fixture(scope="module", params=goldens.NAMES)
def stateful_ir(request, library):
    return Ir(library.folder(request.param))


def test_stateful_inputs(stateful_ir):
    inputs = {layer.name: (layer.data["element_type"], layer.outputs[0]) for layer in stateful_ir.of_type("Parameter")}
    assert inputs == {
        "input_ids": ("i64", ("I64", "input_ids", [-1, -1])),
        "attention_mask": ("i64", ("I64", "attention_mask", [-1, -1])),
        "position_ids": ("i64", ("I64", "position_ids", [-1, -1])),
        "beam_idx": ("i32", ("I32", "beam_idx", [-1])),
    }


@pytest.mark.parametrize("name", goldens.NAMES)
def test_prefill_only_form_has_one_input_and_no_state(library, name):
    ir = Ir(library.folder(name, *PREFILL))
    (only,) = ir.of_type("Parameter")
    assert only.name == "input_ids" and only.outputs == [("I64", "input_ids", [-1, -1])]
    assert ir.of_type("ReadValue", "Assign") == []


@pytest.mark.parametrize("name,flags", FORMS, ids=["-".join([name, *flags]) for name, flags in FORMS])
def test_openvino_reports_the_same_interface(library, name, flags):
    compiled = library.compiled(name, *flags)
    expected = {"input_ids": ("i64", 2)}
    if flags != PREFILL:
        expected |= {"attention_mask": ("i64", 2), "position_ids": ("i64", 2), "beam_idx": ("i32", 1)}
    found = {port.get_any_name(): (port.get_element_type().get_type_name(), len(port.get_partial_shape())) for port in compiled.inputs}
    assert found == expected
    (logits,) = compiled.outputs
    assert "logits" in logits.get_names() and logits.get_element_type().get_type_name() == "f32"
    shape = logits.get_partial_shape()
    assert len(shape) == 3 and shape[0].is_dynamic and shape[1].is_dynamic
    assert shape[2].get_length() == library.golden(name).vocabulary


def test_ends_in_a_matmul_of_a_rank_3_hidden_state(any_ir):
    (result,) = any_ir.of_type("Result")
    head = any_ir.source(result, 0)
    assert head.type == "MatMul"
    assert len(head.input_shapes[0]) == 3 and len(head.input_shapes[1]) == 2
    assert len(head.outputs[0][2]) == 3
    weight = any_ir.source(head, 1)
    if weight.type == "Convert":
        weight = any_ir.source(weight, 0)
    assert weight.type == "Const" and weight.name == "head.weight"


def test_only_standard_operations(any_ir):
    for kind, version in any_ir.all_types():
        assert re.fullmatch(r"opset([1-9]|1[0-7])", version), (kind, version)  # opset17 is the newest of OpenVINO 2026.4
        assert kind not in ("StoredConstant", "Custom")


def test_no_scaled_dot_product_attention(any_ir):
    # OpenVINO GenAI would try to turn it into paged attention, which this architecture's state does not fit.
    assert not [kind for kind, _ in any_ir.all_types() if "ScaledDotProduct" in kind or "PagedAttention" in kind]


def test_every_state_is_read_and_written_once(stateful_ir):
    read = sorted(layer.data["variable_id"] for layer in stateful_ir.of_type("ReadValue"))
    written = sorted(layer.data["variable_id"] for layer in stateful_ir.of_type("Assign"))
    assert read and read == written and len(set(read)) == len(read)


def test_a_state_has_a_rank_3_initialiser_with_only_the_batch_dynamic(stateful_ir):
    # Without one GenAI would trim the states along an axis instead of resetting them.
    shapes = [layer.input_shapes[0] for layer in stateful_ir.of_type("ReadValue")]
    assert [shape for shape in shapes if len(shape) == 3 and shape[0] == -1 and min(shape[1:]) > 0]


def test_growing_states_start_from_a_constant_without_rows(stateful_ir):
    # The CPU plugin does not reset a growing state whose initialiser is computed.
    growing = [layer for layer in stateful_ir.of_type("ReadValue") if "?" in layer.data["variable_shape"].split(",", 1)[1]]
    assert growing
    for layer in growing:
        initialiser = stateful_ir.source(layer, 0)
        assert initialiser.type == "Const", layer.data["variable_id"]
        assert 0 in initialiser.outputs[0][2]


def test_every_state_follows_beam_idx(stateful_ir):
    def reads_beam_idx(layer):
        reshaped = layer.type in ("Reshape", "Unsqueeze", "Convert")
        return layer.name == "beam_idx" or (reshaped and reads_beam_idx(stateful_ir.source(layer, 0)))

    states = {layer.id: layer.data["variable_id"] for layer in stateful_ir.of_type("ReadValue")}
    reordered = {gather.sources[0] for gather in stateful_ir.of_type("Gather") if reads_beam_idx(stateful_ir.source(gather, 1))}
    assert {name for id_, name in states.items() if id_ not in reordered} == set()
    for layer in stateful_ir.layers.values():  # and nothing reads a state past its Gather
        for source in layer.sources:
            assert source not in states or layer.type == "Gather", states.get(source)
