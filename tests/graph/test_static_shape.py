# `--static-shape B,S`: no dynamic dimension and no shape that depends on data anywhere, the logits of the dynamic form, and what the program says to other lengths.
import numpy as np
import openvino
import pytest

import program
import sequence

PREFILL = ("--disable-stateful",)
FORMS = {"grouped": (), "gather": ("--experts", "gather")}
LIMIT = 2e-5  # of the largest |logit|


def static(batch, length):
    return (*PREFILL, "--static-shape", f"{batch},{length}")


def dynamic_dims(model):
    found = []
    for node in model.get_ordered_ops():
        found += [(node.get_type_name(), node.get_friendly_name()) for port in node.outputs() if port.get_partial_shape().is_dynamic]
        if node.get_type_name() == "Loop":
            found += dynamic_dims(node.get_function())
    return found


# Of each operation, the inputs that decide shapes: of outputs, or of what is computed in a Loop. An operation that is not listed is one nobody thought about.
SHAPE_INPUTS = {
    "Broadcast": (1,), "CumSum": (1,), "Gather": (2,), "Loop": (0, 1), "Range": (0, 1, 2), "ReduceMax": (1,), "ReduceMean": (1,), "ReduceMin": (1,), "ReduceSum": (1,), "Reshape": (1,),
    "ScatterUpdate": (3,), "TopK": (1,), "VariadicSplit": (1, 2),
}
WITHOUT_SHAPE_INPUTS = {
    "Add", "Clamp", "Concat", "Constant", "Convert", "Cos", "Divide", "Equal", "Exp", "FloorMod", "GatherElements", "GatherND", "Greater", "GroupedMatMul", "LessEqual", "LogicalAnd",
    "LogicalOr", "MatMul", "Maximum", "Minimum", "Multiply", "Parameter", "Power", "ReLU", "Relu", "Result", "ScatterNDUpdate", "SearchSorted", "Select", "Sigmoid", "Sin",
    "SoftPlus", "Softmax", "SoftMax", "Sqrt", "Subtract", "Swish",
}


def depends_on_data(output, seen):
    """Whether the value comes from a Parameter; that of a ShapeOf comes from a shape."""
    node = output.get_node()
    if node.get_name() in seen:
        return False
    seen.add(node.get_name())
    if node.get_type_name() == "Parameter":
        return True
    return node.get_type_name() != "ShapeOf" and any(depends_on_data(port.get_source_output(), seen) for port in node.inputs())


def data_dependent_shapes(model):
    found = []
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "ShapeOf":
            continue
        assert kind in SHAPE_INPUTS or kind in WITHOUT_SHAPE_INPUTS, f"{kind}: which of its inputs decide shapes?"
        found += [(kind, node.get_friendly_name(), port) for port in SHAPE_INPUTS.get(kind, ()) if depends_on_data(node.input(port).get_source_output(), set())]
        if kind == "Loop":
            body = node.get_function()
            # How often a body runs: its condition, a boolean, is decided inside.
            found += [(kind, node.get_friendly_name(), "condition") for result in body.get_results()
                      if result.get_element_type() == openvino.Type.boolean and depends_on_data(result.input(0).get_source_output(), set())]
            found += data_dependent_shapes(body)
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["toy", "hash", "mini"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 33), (2, 150)], ids=str)
def test_no_dynamic_dimension_and_the_logits_of_the_dynamic_form(library, name, form, shape):
    golden = library.golden(name)
    batch, length = shape
    folder = library.folder(name, *FORMS[form], *static(*shape))
    model = openvino.Core().read_model(folder / "openvino_model.xml")
    model.validate_nodes_and_infer_types()
    assert dynamic_dims(model) == []
    assert data_dependent_shapes(model) == []
    assert model.input("input_ids").get_shape() == [batch, length]
    rows = np.stack([golden.tokens[100 * row:100 * row + length] for row in range(batch)])
    expected = sequence.prefill(library.compiled(name, *FORMS[form], *PREFILL), rows)
    found = sequence.prefill(library.compiled(name, *FORMS[form], *static(*shape)), rows)
    assert sequence.max_difference(found, expected) <= LIMIT * golden.max_logit


def test_the_dynamic_form_has_dynamic_dimensions(library):
    # That the check above sees them, those of Loop bodies too.
    model = openvino.Core().read_model(library.folder("toy", *PREFILL, *FORMS["gather"]) / "openvino_model.xml")
    assert dynamic_dims(model)
    assert any(dynamic_dims(node.get_function()) for node in model.get_ordered_ops() if node.get_type_name() == "Loop")


def test_the_dynamic_form_has_shapes_that_depend_on_data(library):
    # That this check sees them: the tiles of the experts are counted.
    model = openvino.Core().read_model(library.folder("toy", *PREFILL, *FORMS["gather"]) / "openvino_model.xml")
    assert ("Loop", 0) in {(kind, port) for kind, _, port in data_dependent_shapes(model)}


def test_the_program_runs_a_prompt_of_that_length(library):
    golden = library.golden("toy")
    folder = library.folder("toy", *static(1, 33))
    expected = program.generate(library.folder("toy"), golden.tokens[:33], 1)
    assert program.generate(folder, golden.tokens[:33], 1)["tokens"] == expected["tokens"]
    assert program.verify(golden.checkpoint, folder, "--length", 33)["passed"]


@pytest.mark.parametrize("length", [1, 32, 34])
def test_the_program_refuses_prompts_of_another_length(library, length):
    tokens = program.token_list(library.golden("toy").tokens[:length])
    program.refuse("run", library.folder("toy", *static(1, 33)), "--tokens", tokens, "-n", 1, "--json", naming=[length, "exactly 33", "--static-shape"])


def test_the_program_refuses_a_folder_for_several_rows(library):
    program.refuse("run", library.folder("toy", *static(2, 150)), "--tokens", "1,2", "--json", naming=["2 rows", "--static-shape 1,150"])


@pytest.mark.parametrize("text", ["", "1", "1,", ",1", "1,2,3", "1x,2", "1,2 ", "a,b", "1.5,2", "99999999999999999999,1"])
def test_a_shape_that_is_none_is_wrong_usage(library, tmp_path, text):
    program.refuse("convert", "-m", library.golden("toy").checkpoint, tmp_path / "out", *PREFILL, f"--static-shape={text}", code=2,
                   naming=["--static-shape"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["0,1", "1,0", "-1,5", "1,-5", "1,99999999", "4000000000,4000000000", "1048577,1"])
def test_a_shape_out_of_range_is_wrong_usage(library, tmp_path, text):
    program.refuse("convert", "-m", library.golden("toy").checkpoint, tmp_path / "out", *PREFILL, f"--static-shape={text}", code=2,
                   naming=["--static-shape", text.split(",")[0]])
    assert not (tmp_path / "out").exists()


def test_the_stateful_form_cannot_be_static(library, tmp_path):
    program.refuse("convert", "-m", library.golden("toy").checkpoint, tmp_path / "out", "--static-shape", "1,8", code=2, naming=["--disable-stateful"])


def test_an_unknown_expert_form_is_wrong_usage(library, tmp_path):
    program.refuse("convert", "-m", library.golden("toy").checkpoint, tmp_path / "out", "--experts", "dense", code=2,
                   naming=["dense", "grouped", "gather"])
