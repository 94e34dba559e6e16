# dsv4 perplexity: against the published likelihood of mini's held-out text, and by definition from `dsv4 run --logits`.
import json
import math

import numpy as np
import pytest

import goldens
import program


def perplexity(folder, tokens, file, *flags):
    file.write_text(json.dumps([int(token) for token in tokens]))
    return json.loads(program.succeed("perplexity", folder, "--tokens-file", file, "--json", "--threads", program.THREADS, *flags).out)


@pytest.mark.parametrize("flags, key, windows", [((), "single_pass", 1), (("--context", 512), "windows", 8)], ids=["one-sequence", "windows"])
def test_held_out_text_of_mini_has_the_published_likelihood(library, tmp_path, flags, key, windows):
    nll = library.golden("mini").nll
    result = perplexity(library.folder("mini"), nll["tokens"], tmp_path / "tokens.json", *flags)
    assert result["tokens"] == 4096
    assert result["windows"] == windows
    assert result["negative_log_likelihood"] == pytest.approx(nll[key], rel=1e-5)
    assert result["nll_per_token"] == pytest.approx(nll[key] / 4096, rel=1e-5)
    assert result["perplexity"] == pytest.approx(math.exp(nll[key] / 4096), rel=1e-4)


def by_definition(logits, targets):
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return -np.log(probabilities[np.arange(len(targets)), targets]).sum()


@pytest.mark.parametrize("flags", [(), ("--disable-stateful",), ("--disable-stateful", "--static-shape", "1,50")], ids=["stateful", "prefill-only", "static"])
def test_is_what_the_logits_of_run_say(library, tmp_path, flags):
    tokens = library.golden("toy").tokens[:121]
    folder = library.folder("toy", *flags)
    expected = 0.0
    for begin in range(0, 120, 50):  # windows of 50, 50 and 20 tokens
        logits = program.logits(library.folder("toy"), tokens[begin:min(begin + 50, 120)], tmp_path / "logits.npy")
        expected += by_definition(logits, tokens[begin + 1:min(begin + 50, 120) + 1])
    result = perplexity(folder, tokens, tmp_path / "tokens.json", "--context", 50)
    assert (result["tokens"], result["windows"]) == (120, 3)
    assert result["negative_log_likelihood"] == pytest.approx(expected, rel=1e-6)


def test_windows_of_a_static_shape_are_its_length(library, tmp_path):
    tokens, folder = library.golden("toy").tokens[:61], library.folder("toy", "--disable-stateful", "--static-shape", "1,50")
    assert perplexity(folder, tokens, tmp_path / "tokens.json") == perplexity(folder, tokens, tmp_path / "tokens.json", "--context", 50)
    program.refuse("perplexity", folder, "--tokens-file", tmp_path / "tokens.json", "--context", 40, naming=[40, 50, "--static-shape"])


def test_prints_lines_for_people(library, tmp_path):
    (tmp_path / "tokens").write_text("1, 2, 3, 4, 5, 6, 7, 8\n")
    outcome = program.succeed("perplexity", library.folder("toy"), "--tokens-file", tmp_path / "tokens")
    assert outcome.err == ""
    lines = dict(line.split(None, 1) for line in outcome.out.splitlines() if not line.startswith("nats a token"))
    assert lines["tokens"].strip() == "7 in 1 window"
    assert float(lines["perplexity"]) == pytest.approx(math.exp(float(lines["nats"]) / 7), rel=1e-4)


def test_a_prefill_only_model_needs_a_context(library, tmp_path):
    (tmp_path / "tokens").write_text("1,2,3")
    program.refuse("perplexity", library.folder("toy", "--disable-stateful"), "--tokens-file", tmp_path / "tokens", code=2, naming=["--context"])


@pytest.mark.parametrize("text, naming", [("7", ["at least two"]), ("1,512", ["512", "tokens"]), ("1,-4", ["-4"]), ("1,two", ["two"]), ("", ["no token ids"])])
def test_refuses_files_without_a_text(library, tmp_path, text, naming):
    (tmp_path / "tokens").write_text(text)
    program.refuse("perplexity", library.folder("toy"), "--tokens-file", tmp_path / "tokens", naming=naming)


def test_names_files_that_are_not_there(library, tmp_path):
    program.refuse("perplexity", library.folder("toy"), "--tokens-file", tmp_path / "none", naming=[tmp_path / "none"])
    (tmp_path / "tokens").write_text("1,2")
    program.refuse("perplexity", tmp_path / "no-model", "--tokens-file", tmp_path / "tokens", naming=[tmp_path / "no-model"])


def test_a_text_longer_than_the_model_was_made_for_needs_windows(library, tmp_path):
    limit = library.golden("toy").config["max_position_embeddings"]
    (tmp_path / "tokens").write_text(",".join(["3"] * (limit + 2)))
    program.refuse("perplexity", library.folder("toy"), "--tokens-file", tmp_path / "tokens", naming=[limit, limit + 1, "context"])


@pytest.mark.parametrize("flags", [["--context", "-1"], ["--context", "x"], ["--threads", "-1"]], ids=" ".join)
def test_wrong_usage(library, tmp_path, flags):
    (tmp_path / "tokens").write_text("1,2,3")
    program.refuse("perplexity", library.folder("toy"), "--tokens-file", tmp_path / "tokens", *flags, code=2)
    program.refuse("perplexity", library.folder("toy"), code=2, naming=["--tokens-file"])
