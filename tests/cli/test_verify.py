# dsv4 verify on every weight format: the IR computes what the reference predicts from the stored weights, and the distance to the checkpoint is told apart.
import json
import shutil

import numpy as np
import pytest

import goldens
import program
from ir import Ir
from parameters import some

# Row lengths of the goldens are multiples of 32, not all of 64 and 128.
INT4 = ("--weight-format", "int4", "--group-size-fallback", "adjust")
FORMATS = {
    "fp16": ("--weight-format", "fp16"),
    "int8": ("--weight-format", "int8"),
    "int8-sym": ("--weight-format", "int8", "--sym"),
    "int8-nncf": ("--weight-format", "int8", "--selection", "nncf"),
    "int8-nncf-sym": ("--weight-format", "int8", "--selection", "nncf", "--sym"),
    "int4-row": (*INT4, "--group-size", "-1"),
    "int4-32": (*INT4, "--group-size", "32"),
    "int4-64-sym": (*INT4, "--group-size", "64", "--sym"),
    "int4-128-nncf": (*INT4, "--group-size", "128", "--selection", "nncf"),
    "int4-32-nncf-sym": (*INT4, "--group-size", "32", "--selection", "nncf", "--sym"),
    # NNCF judges every row group of a wo_a by itself: here some become u8 and others u4.
    "int4-32-nncf-part": (*INT4, "--group-size", "32", "--selection", "nncf", "--ratio", "0.6"),
    "int4-16-half": (*INT4, "--group-size", "16", "--ratio", "0.5", "--backup-precision", "int8_sym"),
    "int4-32-all": (*INT4, "--group-size", "32", "--all-layers"),
    "int4-32-alone": (*INT4, "--group-size", "32", "--backup-precision", "none"),
    "int8-gather": ("--weight-format", "int8", "--experts", "gather"),
    "int4-32-gather": (*INT4, "--group-size", "32", "--experts", "gather"),
    "int4-row-sym-gather": (*INT4, "--group-size", "-1", "--sym", "--experts", "gather"),
    "mxfp4-gather": ("--weight-format", "mxfp4", "--experts", "gather"),
    "mxfp4": ("--weight-format", "mxfp4"),
    "mxfp4-nncf": ("--weight-format", "mxfp4", "--selection", "nncf"),
    "mxfp4-alone": ("--weight-format", "mxfp4", "--backup-precision", "none"),
}
STORED = {"fp16": "f16", "int8": "u8", "int8-sym": "i8", "int4-row": "u4", "int4-32": "u4 in groups of 32", "int4-64-sym": "i4 in groups of 64",
          "int4-32-nncf-sym": "i4 in groups of 32", "int4-16-half": "u4 in groups of 16", "mxfp4": "f4e2m1",
          "int8-gather": "u8", "int4-32-gather": "u4 in groups of 32", "int4-row-sym-gather": "i4", "mxfp4-gather": "f4e2m1"}


def verify_golden(golden, folder, directory, count):
    (directory / "tokens.json").write_text(json.dumps(golden.tokens[:count].tolist()))
    return program.verify(golden.checkpoint, folder, "--tokens-file", directory / "tokens.json")


def check(library, directory, name, kind, count):
    golden, folder = library.golden(name), library.folder(name, *FORMATS[kind])
    result = verify_golden(golden, folder, directory, count)
    prediction, checkpoint = result["against_prediction"], result["against_checkpoint"]
    count = result["tokens"]
    assert result["passed"] is True
    near_ties = {}
    for name, compared in (("portable", prediction), ("cpu", result["cpu"]["against_prediction"])):
        near_ties[name] = compared["near_ties"]["rows"]
        assert near_ties[name] <= -(-count // 100)
        assert compared["max_difference"] <= 1e-4 * compared["max_logit"]
        assert compared["mean_difference"] <= 1e-5
        assert compared["greedy_match"] == count
    if kind in STORED:
        assert STORED[kind] in result["tensors"]

    # The error of the format, from the outside: the folder's logits against an independent implementation's.
    logits = program.logits(folder, golden.tokens[:count], directory / "logits.npy").astype(np.float64)
    expected = golden.references["logits_transformers"][:count]
    cpu = result["cpu"]["against_checkpoint"]
    assert cpu["max_difference"] == pytest.approx(np.abs(logits - expected).max(), abs=2e-4)
    assert cpu["mean_difference"] == pytest.approx(np.abs(logits - expected).mean(), abs=2e-5)
    assert cpu["greedy_match"] == (logits.argmax(1) == expected.argmax(1)).sum()
    if not any(near_ties.values()):
        assert checkpoint["max_difference"] == pytest.approx(cpu["max_difference"], abs=2e-4)
        assert checkpoint["mean_difference"] == pytest.approx(cpu["mean_difference"], abs=2e-5)
    if kind not in ("fp16", "mxfp4-alone"):  # these two keep every value of these checkpoints, or all but a few bits
        assert checkpoint["mean_difference"] > 100 * prediction["mean_difference"]


@pytest.mark.parametrize("kind", some(["fp16", "int8", "int8-nncf-sym", "int4-row", "int4-32", "int4-64-sym", "int4-128-nncf", "int4-16-half", "int4-32-all", "mxfp4-nncf",
                                       "int8-gather", "int4-32-gather", "int4-row-sym-gather", "mxfp4-gather"],
                                      ["int8-nncf-sym", "int4-row", "int4-16-half", "mxfp4-nncf", "int4-32-gather"]))
def test_formats_of_the_toy_compute_what_their_weights_predict(library, tmp_path, kind):
    check(library, tmp_path, "toy", kind, 100)


@pytest.mark.parametrize("kind", some(["int4-32-nncf-sym", "int4-32-nncf-part", "mxfp4"], ["int4-32-nncf-part"]))
@pytest.mark.parametrize("name", ["hash", "mini"])
def test_other_goldens_compute_what_their_weights_predict(library, tmp_path, name, kind):
    check(library, tmp_path, name, kind, 100)


@pytest.mark.full
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", goldens.NAMES)
def test_every_format_on_all_tokens(library, tmp_path, name, kind):
    check(library, tmp_path, name, kind, None)


def test_with_float32_the_prediction_is_the_checkpoint(library, tmp_path):
    result = verify_golden(library.golden("toy"), library.folder("toy"), tmp_path, 50)
    assert set(result["tensors"]) == {"f32"}
    for compared in (result, result["cpu"]):
        assert compared["against_checkpoint"].items() <= compared["against_prediction"].items()


def damaged_copy(folder, directory, constant, change):
    """The folder with the bytes of one constant changed."""
    shutil.copytree(folder, directory)
    place = Ir(folder).constants()[constant]
    content = bytearray((directory / "openvino_model.bin").read_bytes())
    content[place.offset:place.offset + place.bytes] = change(bytes(content[place.offset:place.offset + place.bytes]))
    (directory / "openvino_model.bin").write_bytes(content)
    return directory


@pytest.mark.parametrize("constant, change", [
    ("layers.1.attn.wq_b.weight/scale", lambda data: bytes(len(data))),
    ("layers.1.attn.wq_b.weight", lambda data: data[1:] + data[:1]),
    ("layers.2.ffn.shared_experts.w2.weight/zero_point", lambda data: bytes(len(data))),
    ("layers.0.ffn.experts.w1w3.weight", lambda data: data[::-1]),
], ids=["scales", "codes", "zero-points", "experts"])
def test_fails_when_the_constants_are_not_those_of_the_checkpoint(library, tmp_path, constant, change):
    folder = damaged_copy(library.folder("toy", *FORMATS["int4-32"]), tmp_path / "damaged", constant, change)
    outcome = program.run("verify", goldens.CHECKPOINTS["toy"], folder, "--json")
    assert outcome.code == 1
    result = json.loads(outcome.out)
    assert result["passed"] is False
    assert result["against_prediction"]["max_difference"] > 1e-3
    assert result["cpu"]["against_prediction"]["max_difference"] > 1e-3
    assert len(outcome.err.splitlines()) == 1 and "weights that the folder stores" in outcome.err
    assert "portable program" in outcome.err
    outcome = program.run("verify", goldens.CHECKPOINTS["toy"], folder, "--json", "--program", "cpu")
    assert outcome.code == 1 and json.loads(outcome.out)["passed"] is False and "CPU program" in outcome.err


def test_prints_all_comparisons_for_people(library):
    folder = library.folder("toy", *FORMATS["int4-32"])
    outcome = program.succeed("verify", goldens.CHECKPOINTS["toy"], folder, "--length", 30)
    numbers = program.verify(goldens.CHECKPOINTS["toy"], folder, "--length", 30)
    assert "u4 in groups of 32" in outcome.out
    head, portable, cpu = outcome.out.split("\n\n")
    assert head.startswith("tokens            30")
    assert portable.startswith("portable program") and cpu.startswith("CPU program")
    for text, compared, columns in ((portable, numbers, 2), (cpu, numbers["cpu"], 3)):
        lines = {line[:18].strip(): line[18:].split() for line in text.splitlines()}
        for label, key in [("max |logit|", "max_logit"), ("max difference", "max_difference"), ("mean difference", "mean_difference")]:
            cells = list(map(float, lines[label]))
            kinds = ["against_checkpoint", "against_prediction", "default_rounding"][:columns]
            assert cells == [pytest.approx(compared[kind][key], rel=6e-3) for kind in kinds]
        assert lines["greedy match"][3:6] == ["30", "of", "30"]
        assert lines["near ties"][:2] == ["-", "none"]


def test_one_program_alone(library):
    folder = library.folder("toy", *FORMATS["int4-32"])
    both = program.verify(goldens.CHECKPOINTS["toy"], folder, "--length", 30)
    portable = program.verify(goldens.CHECKPOINTS["toy"], folder, "--length", 30, "--program", "portable")
    cpu = program.verify(goldens.CHECKPOINTS["toy"], folder, "--length", 30, "--program", "cpu")
    assert "cpu" not in portable and portable["against_prediction"] == both["against_prediction"]
    assert "against_prediction" not in cpu and set(cpu["cpu"]) == {"against_checkpoint", "against_prediction", "default_rounding"}
    assert cpu["cpu"]["against_prediction"] == both["cpu"]["against_prediction"]
    assert portable["passed"] and cpu["passed"]
    program.refuse("verify", goldens.CHECKPOINTS["toy"], folder, "--program", "gpu", code=2, naming=["--program", "portable"])


def test_the_default_rounding_of_the_cpu_program_is_shown_and_never_fails(library, tmp_path):
    """Its difference is what `run` shows from the outside: default options against exact ones."""
    golden, folder = library.golden("toy"), library.folder("toy", *FORMATS["int4-32"])
    result = verify_golden(golden, folder, tmp_path, 60)
    exact = program.logits(folder, golden.tokens[:60], tmp_path / "exact.npy").astype(np.float64)
    program.succeed("run", folder, "--tokens", program.token_list(golden.tokens[:60]), "-n", 0, "--threads", program.THREADS, "--logits", tmp_path / "rounded.npy", "--json")
    rounded = np.load(tmp_path / "rounded.npy")
    shown = result["cpu"]["default_rounding"]
    assert shown["max_difference"] == pytest.approx(np.abs(rounded - exact).max(), rel=1e-2)
    assert shown["mean_difference"] == pytest.approx(np.abs(rounded - exact).mean(), rel=1e-2)
    assert shown["max_difference"] > 10 * result["cpu"]["against_prediction"]["allowed_difference"] and result["passed"]


def test_a_folder_without_a_cpu_program_is_verified_alone_with_a_notice(library):
    folder = library.folder("toy", "--disable-stateful")
    outcome = program.succeed("verify", goldens.CHECKPOINTS["toy"], folder, "--length", 30, "--json")
    assert "cpu" not in json.loads(outcome.out)
    assert outcome.err.splitlines() == [f"dsv4: {folder}: a prefill-only model has no CPU program; the portable one alone is verified"]
    program.refuse("verify", goldens.CHECKPOINTS["toy"], folder, "--program", "cpu", naming=["prefill-only"])


def test_a_weight_that_the_model_keeps_in_an_unknown_way_is_named(library, tmp_path):
    folder = tmp_path / "renamed"
    shutil.copytree(library.folder("toy", *FORMATS["int4-32"]), folder)
    xml = (folder / "openvino_model.xml").read_text()
    assert 'name="layers.1.attn.wq_b.weight/scale"' in xml
    (folder / "openvino_model.xml").write_text(xml.replace('name="layers.1.attn.wq_b.weight/scale"', 'name="elsewhere"'))
    (folder / "dsv4_files.json").unlink()  # which would refuse another .xml
    program.refuse("verify", goldens.CHECKPOINTS["toy"], folder, naming=["layers.1.attn.wq_b.weight/scale"])


def test_writes_its_numbers_into_the_model_card(library, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("toy", *FORMATS["int4-32"]), folder)
    numbers = program.verify(goldens.CHECKPOINTS["toy"], folder, "--length", 30, "--card")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (folder / "README.md").read_text().splitlines() if line.startswith("|")]
    portable, cpu = [list(map(float, row[1:])) for row in rows if row[0] == "max difference"]
    kinds = ["against_checkpoint", "against_prediction", "default_rounding"]
    assert portable == [pytest.approx(numbers[kind]["max_difference"], rel=6e-3) for kind in kinds[:2]]
    assert cpu == [pytest.approx(numbers["cpu"][kind]["max_difference"], rel=6e-3) for kind in kinds]
    assert ["greedy match", f"{numbers['against_checkpoint']['greedy_match']} of 30", "30 of 30"] in rows
