# Logits of model folders in OpenVINO's Python runtime against two independent implementations and, on a tiny model, the float64 oracle.
import numpy as np
import pytest

import goldens
import oracle
import program
import sequence
from sequence import Sequence

# Of the largest |logit|. The two references differ from each other by 2e-6 of it.
MAX_DIFFERENCE = 1e-4
MEAN_DIFFERENCE = 1e-5


def check_against_references(golden, logits):
    assert logits.shape == (len(golden.tokens), golden.vocabulary)
    for name, expected in golden.references.items():
        difference = np.abs(logits[:len(expected)] - expected)
        assert difference.max() <= MAX_DIFFERENCE * golden.max_logit, name
        assert difference.mean() <= MEAN_DIFFERENCE, name
        assert (logits[:len(expected)].argmax(1) == expected.argmax(1)).all(), name


@pytest.mark.parametrize("name", goldens.NAMES)
def test_one_call_gives_the_references_logits_at_every_position(library, name):
    golden = library.golden(name)
    check_against_references(golden, Sequence(library.compiled(name)).feed(golden.tokens)[0])


@pytest.mark.parametrize("name", ["toy", "hash"])
def test_prefill_only_form_gives_the_references_logits(library, name):
    golden = library.golden(name)
    check_against_references(golden, sequence.prefill(library.compiled(name, "--disable-stateful"), golden.tokens)[0])


@pytest.mark.parametrize("name", ["toy", "hash"])
def test_prefill_only_form_keeps_batch_rows_apart(library, name):
    golden = library.golden(name)
    compiled = library.compiled(name, "--disable-stateful")
    rows = np.stack([golden.tokens[:150], golden.tokens[150:300]])
    batch = sequence.prefill(compiled, rows)
    for row, tokens in zip(batch, rows):
        assert sequence.max_difference(row, sequence.prefill(compiled, tokens)[0]) <= MAX_DIFFERENCE * golden.max_logit


@pytest.mark.parametrize("name", goldens.NAMES)
def test_fp16_folder_gives_the_references_logits(library, name):
    # These checkpoints hold FP8 and FP4 times powers of two, and BF16: 4, 2 and 8 significant bits against float16's 11. Only values below
    # 2^-14 lose bits, at most 2^-25 each (test_constants.py), which is far less than float32 rounding moves the logits: its limits hold.
    golden = library.golden(name)
    compiled = library.compiled(name, "--weight-format", "fp16")
    check_against_references(golden, Sequence(compiled).feed(golden.tokens)[0])


def negative_log_likelihood(logits, targets):
    logits = logits.astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return float((total - logits[np.arange(len(targets)), targets]).sum())


def test_likelihood_of_4096_tokens_in_chunks_equals_the_single_pass(library):
    nll = library.golden("mini").nll
    tokens = nll["tokens"]
    one = Sequence(library.compiled("mini"))
    logits = np.concatenate([one.feed(tokens[begin:begin + 512])[0] for begin in range(0, 4096, 512)])
    total = negative_log_likelihood(logits, tokens[1:4097])
    assert total == pytest.approx(nll["single_pass"], rel=1e-4)


def test_likelihood_of_4096_tokens_in_separate_windows(library):
    nll = library.golden("mini").nll
    tokens = nll["tokens"]
    one = Sequence(library.compiled("mini"))
    total = 0.0
    for begin in range(0, 4096, 512):
        one.reset()
        total += negative_log_likelihood(one.feed(tokens[begin:begin + 512])[0], tokens[begin + 1:begin + 513])
    assert total == pytest.approx(nll["windows"], rel=1e-4)


@pytest.fixture(scope="module")
def oracle_checkpoint(tmp_path_factory):
    directory = tmp_path_factory.mktemp("oracle") / "checkpoint"
    oracle.write_checkpoint(directory)
    return directory


def test_float64_oracle_on_a_checkpoint_in_float32(oracle_checkpoint, tmp_path):
    data = goldens.load_oracle()
    expected = np.array(data["logits"])
    program.convert(oracle_checkpoint, tmp_path / "model")
    compiled = sequence.compile_model(tmp_path / "model")
    logits = Sequence(compiled).feed(data["tokens"])[0]
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()
    one_by_one = Sequence(compiled).feed_parts(data["tokens"], [1] * len(data["tokens"]))
    assert np.abs(one_by_one - expected).max() <= 1e-5 * np.abs(expected).max()


def test_float64_oracle_on_the_same_checkpoint_in_float16(oracle_checkpoint, tmp_path):
    # Its weights have up to 14 significant bits, so that float16 rounds most of them, each by at most 2^-11 of itself. A logit is a product
    # of about 5 x 8 such matrices: with every rounding to the same side it would move by 40 x 2^-11 = 2 % of the largest.
    data = goldens.load_oracle()
    expected = np.array(data["logits"])
    program.convert(oracle_checkpoint, tmp_path / "model", "--weight-format", "fp16")
    logits = Sequence(sequence.compile_model(tmp_path / "model")).feed(data["tokens"])[0]
    difference = np.abs(logits - expected)
    assert difference.max() > 1e-6 * np.abs(expected).max(), "the weights cannot have been rounded to float16"
    assert difference.mean() <= 0.02 * np.abs(expected).max()
