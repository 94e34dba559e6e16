# A row of a batch gives what it gives alone: equal lengths, left padding, rows reordered by beam_idx, batches of changing size.
import numpy as np
import pytest

import goldens
from parameters import some
from sequence import Sequence, max_difference

TOLERANCE = 2e-5  # of the largest |logit|


class Model:
    def __init__(self, library, name):
        self.golden = library.golden(name)
        self.compiled = library.compiled(name)
        self.tokens = self.golden.tokens
        self.limit = TOLERANCE * self.golden.max_logit

    def alone(self, row):
        return Sequence(self.compiled).feed(row)[0]

    def rows(self, count, length):
        """Different pieces of the golden's tokens."""
        return np.stack([np.roll(self.tokens, 37 * row)[:length] for row in range(count)])


@pytest.fixture(scope="module", params=goldens.NAMES)
def model(request, library):
    return Model(library, request.param)


@pytest.mark.parametrize("parts", [[200], [128, 72], [50, 1, 1, 77, 71]], ids=str)
def test_rows_of_equal_length(model, parts):
    rows = model.rows(3, 200)
    batch = Sequence(model.compiled)
    ends = np.cumsum(parts)
    logits = np.concatenate([batch.feed(rows[:, end - part:end]) for part, end in zip(parts, ends)], axis=1)
    for row, found in zip(rows, logits):
        assert max_difference(found, model.alone(row)) <= model.limit


@pytest.mark.parametrize("model", some(goldens.NAMES, ["mini"]), indirect=True)
def test_rows_one_token_at_a_time(model):
    rows = model.rows(2, 140)
    batch = Sequence(model.compiled)
    logits = np.concatenate([batch.feed(rows[:, [column]]) for column in range(140)], axis=1)
    for row, found in zip(rows, logits):
        assert max_difference(found, model.alone(row)) <= model.limit


def left_padded(rows):
    """Rows of different lengths as [B, longest] with token 0 in front, and their mask."""
    longest = max(len(row) for row in rows)
    tokens, mask = np.zeros((len(rows), longest), np.int64), np.zeros((len(rows), longest), np.int64)
    for index, row in enumerate(rows):
        tokens[index, longest - len(row):] = row
        mask[index, longest - len(row):] = 1
    return tokens, mask


@pytest.mark.parametrize("lengths", some([(130, 127, 1), (9, 8, 5), (150, 150, 22), (256, 3, 129)], [(130, 127, 1), (9, 8, 5)]), ids=str)
def test_left_padded_rows(model, lengths):
    after = 12  # tokens that all rows get one by one after the padded prompt
    rows = [model.rows(3, length + after)[index] for index, length in enumerate(lengths)]
    prompts, mask = left_padded([row[:length] for row, length in zip(rows, lengths)])
    batch = Sequence(model.compiled)
    prompt_logits = batch.feed(prompts, mask=mask)
    steps = [batch.feed([[row[length + step]] for row, length in zip(rows, lengths)]) for step in range(after)]
    for index, length in enumerate(lengths):
        found = np.concatenate([prompt_logits[index, -length:]] + [step[index] for step in steps])
        assert max_difference(found, model.alone(rows[index])) <= model.limit, index


@pytest.mark.parametrize("beams", some([[1, 0, 2], [2, 2, 0, 1, 1], [2], [0, 0], [1, 2]], [[2, 2, 0, 1, 1], [2]]), ids=str)
@pytest.mark.parametrize("prompt", some([6, 130], [130]))
def test_beam_idx_reorders_multiplies_and_drops_rows(model, prompt, beams):
    rows = model.rows(3, prompt)
    tails = model.rows(len(beams), 300)[:, 200:270]
    batch = Sequence(model.compiled)
    batch.feed(rows)
    first = batch.feed(tails[:, :1], beams=beams)
    rest = batch.feed(tails[:, 1:])
    for index, beam in enumerate(beams):
        alone = model.alone(np.concatenate([rows[beam], tails[index]]))[prompt:]
        assert max_difference(np.concatenate([first[index], rest[index]]), alone) <= model.limit


def test_beam_search_steps(model):
    """Every step picks other parents, as beam search does; each final row's history must be its own."""
    random = np.random.default_rng(5)
    beams, prompt = 4, model.tokens[:126]
    batch = Sequence(model.compiled)
    batch.feed(np.tile(prompt, (beams, 1)))
    histories = [list(prompt) for _ in range(beams)]
    for _ in range(8):
        parents = random.integers(0, beams, beams)
        tokens = random.integers(0, model.golden.vocabulary, beams)
        logits = batch.feed(tokens[:, None], beams=parents)
        histories = [histories[parent] + [token] for parent, token in zip(parents, tokens)]
    for history, found in zip(histories, logits):
        assert max_difference(found, model.alone(history)[-1:]) <= model.limit


def test_batch_size_changes_between_sequences(model):
    request = Sequence(model.compiled)
    for count, length in [(1, 140), (3, 133), (2, 5), (1, 200)]:
        rows = model.rows(count, length)
        logits = np.concatenate([request.feed(rows[:, :length - 2]), request.feed(rows[:, length - 2:])], axis=1)
        for row, found in zip(rows, logits):
            assert max_difference(found, model.alone(row)) <= model.limit
        request.reset()
