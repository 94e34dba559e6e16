# Our folders used as optimum.intel.OVModelForCausalLM uses them, without torch: `make test`'s stand-in for test_optimum.py, whose packages take more than
# 1 GB. Greedy ids are those of `dsv4 run`.
import math

import numpy as np
import pytest
from transformers import AutoTokenizer

import like_optimum
import program
from client_models import FORMATS, PREFILL, TEXTS, log_softmax

PAIR = ([0, 5, 77, 300, 12, 9, 41], [0, 43, 80, 261, 794, 267, 80])


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("flags", [(), PREFILL], ids=["stateful", "prefill-only"])
def test_greedy_ids_are_those_of_dsv4_run(clients, library, weight_format, flags):
    model = clients.like_optimum("mini", weight_format, *flags)
    assert model.stateful == (not flags)
    prompt, continuation = library.golden("mini").greedy[0]
    (ids,) = model.greedy([prompt], 16)
    assert ids == clients.dsv4_run("mini", weight_format, prompt, 16)
    if weight_format == "fp32":
        assert ids == continuation[:16]  # of two independent implementations


def test_toy_without_a_tokenizer_runs(clients, library):
    prompt, continuation = library.golden("toy").greedy[0]
    assert clients.like_optimum("toy", "fp32").greedy([prompt], 8) == [continuation[:8]]


def test_two_prompts_of_equal_length_give_what_each_gives_alone(clients):
    assert clients.like_optimum("mini", "fp32").greedy(PAIR, 12) == [clients.greedy("mini", "fp32", prompt, 12) for prompt in PAIR]


def test_rows_of_a_padded_batch_give_what_each_gives_alone(clients):
    tokenizer = AutoTokenizer.from_pretrained(clients.folder("mini", "fp32"))
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="np")
    assert len({len(tokenizer(text)["input_ids"]) for text in TEXTS}) == len(TEXTS)
    found = clients.like_optimum("mini", "fp32").greedy_padded(batch["input_ids"], batch["attention_mask"], 12)
    assert found == [clients.greedy("mini", "fp32", tokenizer(text)["input_ids"], 12) for text in TEXTS]


def test_bits_per_byte_are_those_of_dsv4_perplexity(clients, tmp_path):
    # As lm_eval's loglikelihood_rolling asks: the text's tokens after the begin token, in one window. test_lm_eval.py asks with lm_eval itself.
    folder = clients.folder("mini", "fp32")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        ids = np.array([[tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
        scores = log_softmax(clients.like_optimum("mini", "fp32").forward(ids[:, :-1], np.ones_like(ids[:, :-1]), first=True)[0])
        found = -sum(scores[row, token] for row, token in enumerate(ids[0, 1:])) / math.log(2) / len(text.encode())
        assert found == pytest.approx(program.bits_per_byte(folder, ids[0], text, tmp_path), rel=1e-5)


def test_beam_search_finds_the_beams_of_a_full_recomputation(clients):
    found = clients.like_optimum("mini", "fp32").beam_search(PAIR[0], 3, 8)
    expected = clients.beams("mini", "fp32", PAIR[0], 3, 8)
    assert [tokens for _, tokens in found] == [tokens for _, tokens in expected]
    np.testing.assert_allclose([score for score, _ in found], [score for score, _ in expected], atol=1e-3)


def test_logits_of_both_forms_are_the_goldens(clients, library):
    golden = library.golden("mini")
    tokens = np.asarray(golden.tokens[:200], np.int64)[None]
    for flags in ((), PREFILL):
        logits = clients.like_optimum("mini", "fp32", *flags).forward(tokens, np.ones_like(tokens), first=True)[0]
        expected = golden.references["logits_transformers"][:200]
        assert np.abs(logits - expected).max() < 1e-4 * golden.max_logit


@pytest.mark.parametrize("weight_format", FORMATS)
def test_openvino_config_is_one_that_optimum_accepts(clients, weight_format):
    quantization = like_optimum.check_openvino_config(clients.folder("mini", weight_format))
    assert (quantization is None) == (weight_format == "fp32")


@pytest.mark.parametrize("name", ["toy", "mini"])
def test_the_model_names_the_version_of_transformers_in_its_config(clients, library, name):
    model = clients.like_optimum(name, "fp32")
    assert model.exported_by == library.golden(name).config.get("transformers_version", model.config.transformers_version)
