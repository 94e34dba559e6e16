# `--experts gather`: the logits of the references and of the grouped form, in any split and batch, from operations up to opset 15.
import re

import numpy as np
import pytest

import goldens
import program
import sequence
import variants
from ir import Ir
from sequence import Sequence, max_difference

GATHER = ("--experts", "gather")
PREFILL = ("--disable-stateful",)
# Of the largest |logit|.
MAX_DIFFERENCE = 1e-4  # to the references
ROUNDING = 2e-5  # between two ways of computing the same sums
FORMATS = {
    "fp16": ("--weight-format", "fp16"),
    "int8": ("--weight-format", "int8"),
    "int8-sym": ("--weight-format", "int8", "--sym"),
    "int4": ("--weight-format", "int4", "--group-size", "32"),
    "int4-sym": ("--weight-format", "int4", "--sym", "--group-size", "32"),
    "mxfp4": ("--weight-format", "mxfp4"),
}


class Model:
    def __init__(self, library, name):
        self.golden = library.golden(name)
        self.compiled = library.compiled(name, *GATHER)
        self.whole = Sequence(self.compiled).feed(self.golden.tokens[:300])[0]
        self.limit = ROUNDING * self.golden.max_logit


@pytest.fixture(scope="module", params=goldens.NAMES)
def model(request, library):
    return Model(library, request.param)


@pytest.mark.parametrize("name", goldens.NAMES)
def test_logits_are_the_references(library, name):
    golden = library.golden(name)
    logits = Sequence(library.compiled(name, *GATHER)).feed(golden.tokens)[0]
    for reference, expected in golden.references.items():
        assert max_difference(logits[:len(expected)], expected) <= MAX_DIFFERENCE * golden.max_logit, reference


@pytest.mark.parametrize("name", goldens.NAMES)
@pytest.mark.parametrize("flags", [(), PREFILL], ids=["stateful", "prefill-only"])
def test_logits_equal_the_grouped_form(library, name, flags):
    golden = library.golden(name)
    tokens = golden.tokens[:300]
    run = sequence.prefill if flags else lambda compiled, row: Sequence(compiled).feed(row)
    grouped, gathered = run(library.compiled(name, *flags), tokens), run(library.compiled(name, *GATHER, *flags), tokens)
    assert max_difference(gathered, grouped) <= ROUNDING * golden.max_logit


@pytest.mark.parametrize("name", [pytest.param("toy", marks=pytest.mark.full), pytest.param("hash", marks=pytest.mark.full), "mini"])
@pytest.mark.parametrize("weights", FORMATS)
def test_compressed_experts_equal_the_grouped_form(library, name, weights):
    golden = library.golden(name)
    tokens = golden.tokens[:150]
    grouped = Sequence(library.compiled(name, *FORMATS[weights])).feed(tokens)
    gathered = Sequence(library.compiled(name, *GATHER, *FORMATS[weights])).feed(tokens)
    assert max_difference(gathered, grouped) <= ROUNDING * golden.max_logit


@pytest.mark.parametrize("first", [1, 3, 4, 31, 32, 33, 128, 255])  # 32: the rows of a tile
def test_two_parts(model, first):
    parts = Sequence(model.compiled).feed_parts(model.golden.tokens[:300], [first, 300 - first])
    assert max_difference(parts, model.whole) <= model.limit


def test_one_by_one(model):
    parts = Sequence(model.compiled).feed_parts(model.golden.tokens[:140], [1] * 140)
    assert max_difference(parts, model.whole[:140]) <= model.limit


def test_a_row_of_a_batch_gives_what_it_gives_alone(model):
    tokens = model.golden.tokens
    rows = np.stack([tokens[:150], tokens[150:300], tokens[:150][::-1]])
    request = Sequence(model.compiled)
    batch = np.concatenate([request.feed(rows[:, :129]), request.feed(rows[:, 129:130]), request.feed(rows[:, 130:])], axis=1)
    for row, found in zip(rows, batch):
        assert max_difference(found, Sequence(model.compiled).feed(row)[0]) <= model.limit


@pytest.mark.parametrize("variant", variants.VARIANTS)
def test_every_kind_of_config(variant, tmp_path):
    program.succeed("synth", variants.write_config(variant, tmp_path / "config.json"), tmp_path / "checkpoint")
    program.convert(tmp_path / "checkpoint", tmp_path / "model", *GATHER)
    assert program.verify(tmp_path / "checkpoint", tmp_path / "model", "--length", 100)["passed"]


@pytest.mark.parametrize("name", ["hash", "mini"])
@pytest.mark.parametrize("flags", [(), PREFILL, FORMATS["int8"], FORMATS["int4"], FORMATS["mxfp4"]], ids=["stateful", "prefill-only", "int8", "int4", "mxfp4"])
def test_operations_are_those_of_opset_15_and_before(library, name, flags):
    for kind, version in Ir(library.folder(name, *GATHER, *flags)).all_types():
        assert re.fullmatch(r"opset([1-9]|1[0-5])", version), (kind, version)


@pytest.mark.parametrize("weights", ["int4", "int4-sym", "mxfp4"])
def test_experts_are_stored_as_bytes_in_the_same_file(library, weights):
    # Constants of 4 bits are unpacked by the plugins before Gather, by OpenVINO 2025.4 wrongly.
    grouped, gathered = (library.folder("toy", *form, *FORMATS[weights]) for form in ((), GATHER))
    stacks = 0
    for layer in Ir(gathered).root.iter("layer"):
        if layer.get("type") == "Const" and re.search(r"\.ffn\.experts\.(w1w3|w2)\.weight(/zero_point)?$", layer.get("name")):
            stacks += 1
            assert layer.find("data").get("element_type") == "u8", layer.get("name")
    assert stacks >= 2 * library.golden("toy").config["num_hidden_layers"]
    constants = Ir(grouped).constants()
    end = max(c.offset + c.bytes for name, c in constants.items() if ".ffn.experts." in name)
    sizes = [(folder / "openvino_model.bin").read_bytes()[:end] for folder in (grouped, gathered)]
    assert sizes[0] == sizes[1]
