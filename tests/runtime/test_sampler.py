# The sampler on mini's logits: against the softmax by frequencies, and against the documented order of filters in numpy, token by token.
import json
import math
import subprocess

import numpy as np
import pytest

import program

CONTEXTS = ["Genesis 1\n\nIn the beginning", "And the LORD", "the"]
MASK = np.uint64(0xFFFFFFFF)


@pytest.fixture(scope="module", params=range(len(CONTEXTS)), ids=["beginning", "lord", "the"])
def logits(request, library, tmp_path_factory):
    """float32 [V] of the token after one of the contexts."""
    file = tmp_path_factory.mktemp("logits") / "logits.npy"
    program.succeed("run", library.folder("mini"), "-p", CONTEXTS[request.param], "-n", 0, "--logits", file, "--threads", program.THREADS, *program.EXACT)
    return np.load(file)[-1]


def sampled(logits, directory, *questions):
    """The tokens that the sampler chooses for each of the questions (sample_lines.cpp)."""
    logits.astype(np.float32).tofile(directory / "logits.f32")
    command = [program.executable().parent / "tests/sample_lines", directory / "logits.f32"]
    done = subprocess.run(command, input="".join(json.dumps(question) + "\n" for question in questions), capture_output=True, text=True, check=True, timeout=300)
    return [np.array(json.loads(line)["tokens"]) for line in done.stdout.splitlines()]


def philox(counter, key):
    """Philox4x32-10 of arrays of counters."""
    x, key = [np.asarray(word, dtype=np.uint64) for word in counter], list(key)
    x = list(np.broadcast_arrays(*x))
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [(b >> np.uint64(32)) ^ x[1] ^ np.uint64(key[0]), b & MASK, (a >> np.uint64(32)) ^ x[3] ^ np.uint64(key[1]), a & MASK]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return x


def gumbel(seed, position, size):
    """The noise of every token [V] at a position."""
    token = np.arange(size, dtype=np.uint64)
    key, place = (seed % 2**32, seed >> 32), (position % 2**32, position >> 32)
    words = np.stack(philox((token // 128 * 16 + token % 16, *place, 0), key))
    word = words[(token % 128 // 32).astype(int), np.arange(size)]
    coarse = np.where(token % 32 < 16, word & np.uint64(0xFFFF), word >> np.uint64(16))
    fine = philox((token, *place, 1), key)[0]
    return -np.log(-np.log((coarse.astype(np.float64) * 2.0**32 + fine + 0.5) / 2.0**48))


def plain(logits, question, position):
    """The documented order, docs/sampling.md."""
    x = logits.astype(np.float32).copy()
    for token, bias in question.get("bias", []):
        x[token] += np.float32(bias)
    text, prompt = question.get("text", []), question.get("prompt", [])
    for token in {*text, *prompt}:
        repetition = np.float32(question.get("repetition_penalty", 1))
        x[token] = x[token] / repetition if x[token] > 0 else x[token] * repetition
    for token in set(text):
        x[token] -= np.float32(question.get("frequency_penalty", 0)) * np.float32(text.count(token))
        x[token] -= np.float32(question.get("presence_penalty", 0))
    order = np.argsort(-x, kind="stable")
    if question.get("temperature", 0) == 0:
        return order[0]
    scaled = (x[order].astype(np.float64) - np.float64(x[order[0]])) / question["temperature"]
    chance = np.exp(scaled)
    left = int((chance >= question.get("min_p", 0)).sum())
    left = min(left, question.get("top_k", 0) or left)
    before = np.cumsum(chance[:left]) - chance[:left]
    if question.get("top_p", 1) < 1:
        left = int((before < question["top_p"] * chance[:left].sum()).sum())
    return order[:left][np.argmax(scaled[:left] + gumbel(question.get("seed", 0), position, len(x))[order[:left]])]


QUESTIONS = {
    "greedy": {}, "temperature": {"temperature": 0.7}, "hot": {"temperature": 4.0}, "top-k": {"temperature": 1.0, "top_k": 12}, "top-1": {"temperature": 1.0, "top_k": 1},
    "top-p": {"temperature": 1.0, "top_p": 0.8}, "narrow": {"temperature": 1.3, "top_p": 0.05}, "min-p": {"temperature": 1.0, "min_p": 0.1},
    "all filters": {"temperature": 1.5, "min_p": 0.01, "top_k": 20, "top_p": 0.9}, "beyond": {"temperature": 1.0, "top_k": 10**9, "top_p": 1, "min_p": 0},
    "repetition": {"temperature": 1.0, "repetition_penalty": 1.5}, "presence": {"temperature": 1.0, "presence_penalty": 1.7}, "frequency": {"temperature": 1.0, "frequency_penalty": -0.9},
    "bias": {"temperature": 1.0, "bias": [[5, 3.5], [300, -100], [5, 1]]},
    "everything": {"temperature": 1.2, "repetition_penalty": 1.2, "presence_penalty": 0.5, "frequency_penalty": 0.25, "bias": [[9, 2]], "min_p": 0.001, "top_k": 100, "top_p": 0.95},
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_token_is_that_of_the_documented_order(logits, tmp_path, name):
    likely = [int(token) for token in np.argsort(-logits)[:8]]
    question = {**QUESTIONS[name], "seed": 2**63 + 77, "prompt": likely[:5] + [3], "text": likely[2:] + likely[2:4], "from": 2**33 - 100, "count": 200}
    found, = sampled(logits, tmp_path, question)
    assert found.tolist() == [int(plain(logits, question, position)) for position in range(2**33 - 100, 2**33 + 100)]


def chi_square_limit(freedom, sigmas=4.0):
    """The value that chi-square exceeds as seldom as a normal variable exceeds so many deviations (Wilson and Hilferty)."""
    return freedom * (1 - 2 / (9 * freedom) + sigmas * math.sqrt(2 / (9 * freedom)))**3


def chi_square(tokens, chance):
    """Of the counts; tokens expected fewer than 10 times are taken together. Returns it and its degrees of freedom."""
    expected = chance * len(tokens)
    counts = np.bincount(tokens, minlength=len(chance)).astype(np.float64)
    often = expected >= 10
    expected = np.append(expected[often], expected[~often].sum())
    counts = np.append(counts[often], counts[~often].sum())
    keep = expected > 0
    assert counts[~keep].sum() == 0
    return float(((counts[keep] - expected[keep])**2 / expected[keep]).sum()), int(keep.sum()) - 1


def test_tokens_are_as_frequent_as_the_softmax_says(logits, tmp_path):
    """200,000 of them: half at positions in a row with one seed, half at one position with seeds in a row."""
    chance = np.exp(logits.astype(np.float64) - logits.max())
    chance /= chance.sum()
    by_position, = sampled(logits, tmp_path, {"temperature": 1, "seed": 5, "from": 0, "count": 100000})
    by_seed = np.concatenate(sampled(logits, tmp_path, *({"temperature": 1, "seed": seed, "from": 12, "count": 1} for seed in range(100000))))
    for tokens in (by_position, by_seed, np.concatenate([by_position, by_seed])):
        found, freedom = chi_square(tokens, chance)
        assert freedom > 20 and found < chi_square_limit(freedom), f"{found} at {freedom} degrees of freedom"


def test_another_distribution_is_told_from_the_softmax(logits, tmp_path):
    """The test above can fail: the same tokens at a temperature of 1.03."""
    chance = np.exp((logits.astype(np.float64) - logits.max()) / 1.03)
    tokens, = sampled(logits, tmp_path, {"temperature": 1, "seed": 5, "from": 0, "count": 100000})
    found, freedom = chi_square(tokens, chance / chance.sum())
    assert found > chi_square_limit(freedom)
