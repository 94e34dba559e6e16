# The state of a sequence: saved and restored at any position, and gone after reset_state().
import numpy as np
import pytest

import goldens
from parameters import some
from sequence import Sequence, max_difference

TOLERANCE = 2e-5  # of the largest |logit|
AHEAD = 5  # tokens fed after a restore: past the next boundary of the rate 4


@pytest.mark.parametrize("name", some(["toy", "mini"], ["mini"]))
def test_saved_at_every_residue_of_128_and_restored_into_another_request(library, name):
    golden = library.golden(name)
    compiled = library.compiled(name)
    tokens = golden.tokens[:128 + 128 + AHEAD]
    first, second = Sequence(compiled), Sequence(compiled)
    whole = first.feed(tokens)[0]
    second.feed(tokens[::-1])  # the restored state must replace this one

    first.reset()
    first.feed(tokens[:128])
    for position in range(128, 256):
        second.restore(first.save())
        ahead = second.feed(tokens[position:position + AHEAD])[0]
        assert max_difference(ahead, whole[position:position + AHEAD]) <= TOLERANCE * golden.max_logit, position
        first.feed(tokens[position])


@pytest.mark.parametrize("name", goldens.NAMES)
def test_saved_early_in_a_sequence(library, name):
    golden = library.golden(name)
    compiled = library.compiled(name)
    tokens = golden.tokens[:16 + 130]
    whole = Sequence(compiled).feed(tokens)[0]
    first, second = Sequence(compiled), Sequence(compiled)
    for position in range(1, 10):
        first.feed(tokens[position - 1])
        second.restore(first.save())
        ahead = second.feed(tokens[position:])[0]
        assert max_difference(ahead, whole[position:]) <= TOLERANCE * golden.max_logit, position


@pytest.mark.parametrize("name", goldens.NAMES)
def test_restored_twice_gives_equal_logits(library, name):
    tokens = library.golden(name).tokens
    sequence = Sequence(library.compiled(name))
    sequence.feed(tokens[:203])
    saved = sequence.save()
    once = sequence.feed(tokens[203:280])
    sequence.restore(saved)
    assert np.array_equal(sequence.feed(tokens[203:280]), once)


@pytest.mark.parametrize("name", goldens.NAMES)
@pytest.mark.parametrize("before", [1, 5, 127, 300])
def test_nothing_is_left_after_reset(library, name, before):
    tokens = library.golden(name).tokens
    fresh = Sequence(library.compiled(name)).feed(tokens[:150])
    used = Sequence(library.compiled(name))
    used.feed(tokens[::-1][:before])
    used.reset()
    assert np.array_equal(used.feed(tokens[:150]), fresh)


@pytest.mark.parametrize("name", goldens.NAMES)
@pytest.mark.parametrize("before", [1, 300])
def test_states_after_reset_are_those_of_a_fresh_request(library, name, before):
    """Logits alone would not show rows that stay behind a mask."""
    tokens = library.golden(name).tokens
    fresh, used = Sequence(library.compiled(name)), Sequence(library.compiled(name))
    fresh.feed(tokens[:3])
    used.feed(tokens[::-1][:before])
    used.reset()
    used.feed(tokens[:3])
    (_, expected), (_, found) = fresh.save(), used.save()
    assert set(found) == set(expected)
    for state, values in expected.items():
        assert np.array_equal(found[state], values), state


@pytest.mark.parametrize("name", goldens.NAMES)
def test_two_requests_of_one_model_do_not_mix(library, name):
    tokens = library.golden(name).tokens
    one, other = tokens[:140], tokens[150:290]
    alone = [Sequence(library.compiled(name)).feed_parts(row, [70, 1, 69]) for row in (one, other)]
    first, second = Sequence(library.compiled(name)), Sequence(library.compiled(name))
    parts = [(first.feed(one[part])[0], second.feed(other[part])[0]) for part in (slice(0, 70), slice(70, 71), slice(71, 140))]
    for row, expected in enumerate(alone):
        assert np.array_equal(np.concatenate([part[row] for part in parts]), expected)
