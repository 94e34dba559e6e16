# `--experts gather` in earlier OpenVINO releases on the CPU, each in an environment of its own.
import subprocess

import numpy as np
import pytest

import goldens
from parameters import some
from sequence import Sequence

VERSIONS = ("2025.4", "2026.1")
GATHER = ("--experts", "gather")
MAX_DIFFERENCE = 1e-4  # of the largest |logit|, as everywhere
# Formats whose logits are the goldens' own, and those that are compared with the grouped form in this OpenVINO.
EXACT_FORMATS = {"fp32": (), "fp16": ("--weight-format", "fp16")}
COMPRESSED_FORMATS = {
    "int8": ("--weight-format", "int8"),
    "int8-sym": ("--weight-format", "int8", "--sym"),
    "int4": ("--weight-format", "int4", "--group-size", "32"),
    "int4-sym": ("--weight-format", "int4", "--sym", "--group-size", "32"),
    "mxfp4": ("--weight-format", "mxfp4"),
}


@pytest.fixture(params=VERSIONS)
def old(request, tmp_path):
    """run(folder, tokens [B,S], parts) -> logits [B,S,V] of that release."""
    python = goldens.REPOSITORY / f"build/venv-ov{request.param}/bin/python"
    assert python.exists(), f"{python} is not there: run tools/test-venv.sh ov{request.param}"

    def run(folder, tokens, parts=None):
        tokens = np.atleast_2d(tokens)
        np.savez(tmp_path / "in.npz", tokens=tokens, parts=[tokens.shape[1]] if parts is None else parts)
        command = [python, goldens.TESTS / "run_openvino.py", folder, tmp_path / "in.npz", tmp_path / "out.npz"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        found = np.load(tmp_path / "out.npz")
        assert str(found["version"]).startswith(request.param + ".")
        return found["logits"]

    return run


def check(golden, logits):
    for name, expected in golden.references.items():
        count = min(len(expected), len(logits))
        assert np.isfinite(logits).all()
        assert np.abs(logits[:count] - expected[:count]).max() <= MAX_DIFFERENCE * golden.max_logit, name


@pytest.mark.parametrize("weights", ["fp32", pytest.param("fp16", marks=pytest.mark.full)])
@pytest.mark.parametrize("name", some(goldens.NAMES, ["hash", "mini"]))
def test_logits_are_the_references(library, old, name, weights):
    golden = library.golden(name)
    check(golden, old(library.folder(name, *GATHER, *EXACT_FORMATS[weights]), golden.tokens)[0])


@pytest.mark.parametrize("name", some(goldens.NAMES, ["mini"]))
def test_split_sequences_in_a_batch_give_the_references_logits(library, old, name):
    golden = library.golden(name)
    length = min([len(expected) for expected in golden.references.values()] + [180])
    tokens = np.stack([golden.tokens[:length], golden.tokens[::-1][:length], golden.tokens[:length]])
    logits = old(library.folder(name, *GATHER), tokens, [1, 5, length - 12, 1, 1, 4])
    check(golden, logits[0])
    check(golden, logits[2])


@pytest.mark.parametrize("name", some(["toy", "hash"], ["hash"]))
def test_prefill_only_form(library, old, name):
    golden = library.golden(name)
    check(golden, old(library.folder(name, *GATHER, "--disable-stateful"), golden.tokens)[0])


@pytest.mark.parametrize("name", ["toy", "hash"])
def test_static_shape(library, old, name):
    golden = library.golden(name)
    folder = library.folder(name, *GATHER, "--disable-stateful", "--static-shape", "2,140")
    logits = old(folder, np.stack([golden.tokens[:140], golden.tokens[:140]]))
    check(golden, logits[0])
    check(golden, logits[1])


@pytest.mark.parametrize("weights", some(COMPRESSED_FORMATS, ["int8", "int4-sym", "mxfp4"]))
@pytest.mark.parametrize("name", [pytest.param("toy", marks=pytest.mark.full), pytest.param("hash", marks=pytest.mark.full), "mini"])
def test_compressed_weights_give_the_logits_of_the_grouped_form(library, old, name, weights):
    golden = library.golden(name)
    flags = COMPRESSED_FORMATS[weights]
    expected = Sequence(library.compiled(name, *flags)).feed(golden.tokens[:150])[0]
    found = old(library.folder(name, *GATHER, *flags), golden.tokens[:150])[0]
    assert np.abs(found - expected).max() <= MAX_DIFFERENCE * golden.max_logit
