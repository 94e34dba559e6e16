# optimum.intel.OVModelForCausalLM on our folders, stateful and prefill-only: greedy ids are those of `dsv4 run`. `make test-full` runs these tests, in
# build/venv-optimum; `make test` has test_like_optimum.py instead.
import inspect

import numpy as np
import pytest
import torch
from optimum.intel import OVConfig
from optimum.intel.openvino.configuration import OVWeightQuantizationConfig
from transformers import AutoTokenizer

import cpu_folders
import like_optimum
from client_models import FORMATS, PREFILL, PROPERTIES, TEXTS

PAIR = ([0, 5, 77, 300, 12, 9, 41], [0, 43, 80, 261, 794, 267, 80])


def generate(model, rows, count, **options):
    ids = torch.tensor(np.atleast_2d(rows))
    options = {"do_sample": False, "min_new_tokens": count, **options}
    made = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, pad_token_id=1, **options)
    return made[:, ids.shape[1]:].tolist()


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("flags", [(), PREFILL], ids=["stateful", "prefill-only"])
def test_greedy_ids_are_those_of_dsv4_run(clients, library, weight_format, flags):
    model = clients.optimum("mini", weight_format, *flags)
    assert model.stateful == (not flags)
    assert model.use_cache == (not flags)
    prompt, continuation = library.golden("mini").greedy[0]
    ids = generate(model, prompt, 16)[0]
    assert ids == clients.dsv4_run("mini", weight_format, prompt, 16)
    if weight_format == "fp32":
        assert ids == continuation[:16]  # of two independent implementations


def test_toy_without_a_tokenizer_runs(clients, library):
    prompt, continuation = library.golden("toy").greedy[0]
    assert generate(clients.optimum("toy", "fp32"), prompt, 8)[0] == continuation[:8]


def test_two_prompts_of_equal_length_give_what_each_gives_alone(clients):
    assert generate(clients.optimum("mini", "fp32"), PAIR, 12) == [clients.greedy("mini", "fp32", prompt, 12) for prompt in PAIR]


def test_rows_of_a_padded_batch_give_what_each_gives_alone(clients):
    tokenizer = AutoTokenizer.from_pretrained(clients.folder("mini", "fp32"))
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    made = clients.optimum("mini", "fp32").generate(**batch, do_sample=False, min_new_tokens=12, max_new_tokens=12)
    assert made[:, batch["input_ids"].shape[1]:].tolist() == [clients.greedy("mini", "fp32", tokenizer(text)["input_ids"], 12) for text in TEXTS]


def test_beam_search_finds_the_beams_of_a_full_recomputation(clients):
    found = generate(clients.optimum("mini", "fp32"), PAIR[0], 8, num_beams=3, num_return_sequences=3)
    assert found == [tokens for _, tokens in clients.beams("mini", "fp32", PAIR[0], 3, 8)]


def test_logits_of_both_forms_are_the_goldens(clients, library):
    golden = library.golden("mini")
    tokens = torch.tensor(golden.tokens[:200])[None]
    for flags in ((), PREFILL):
        model = clients.optimum("mini", "fp32", *flags)
        logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0].numpy()
        expected = golden.references["logits_transformers"][:200]
        assert np.abs(logits - expected).max() < 1e-4 * golden.max_logit


@pytest.fixture(scope="module")
def cpu_program(clients, library):
    """model(weight_format): the portable folder's, and the CPU program's over the same weights."""
    from optimum.intel import OVModelForCausalLM
    from optimum.intel.openvino.modeling_base import core

    core.add_extension(cpu_folders.ops_library())
    made = {}

    def models(weight_format):
        if weight_format not in made:
            folder = cpu_folders.folder_of(library, "mini", weight_format)
            made[weight_format] = OVModelForCausalLM.from_pretrained(folder, trust_remote_code=True, ov_config=dict(PROPERTIES))
        return clients.optimum("mini", weight_format), made[weight_format]

    return models


@pytest.mark.parametrize("weight_format", FORMATS)
def test_the_cpu_program_generates_what_the_portable_one_does(cpu_program, clients, weight_format):
    portable, fast = cpu_program(weight_format)
    tokenizer = AutoTokenizer.from_pretrained(clients.folder("mini", "fp32"))
    long = tokenizer(TEXTS[2] * 8)["input_ids"]
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    for rows, options in ((PAIR, {}), (long, {}), (PAIR[0], {"num_beams": 4, "num_return_sequences": 4})):
        assert generate(fast, rows, 12, **options) == generate(portable, rows, 12, **options)
    made, expected = (model.generate(**batch, do_sample=False, min_new_tokens=12, max_new_tokens=12) for model in (fast, portable))
    assert made.tolist() == expected.tolist()
    made, expected = (model.generate(**batch, do_sample=False, num_beams=4, min_new_tokens=8, max_new_tokens=8) for model in (fast, portable))
    assert made.tolist() == expected.tolist()
    ids = torch.tensor(long)[None]
    made, expected = (model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.numpy() for model in (fast, portable))
    assert np.abs(made - expected).max() <= 1e-4 * np.abs(expected).max()


def test_openvino_config_loads(clients):
    config = OVConfig.from_pretrained(clients.folder("mini", "fp32"))
    assert config.dtype == "fp32" and config.quantization_config is None


def test_quantization_parameters_are_those_that_the_stand_in_knows():
    parameters = inspect.getfullargspec(OVWeightQuantizationConfig.__init__).args
    assert set(parameters) - {"self"} == like_optimum.QUANTIZATION_PARAMETERS


def recorded(model, monkeypatch, use):
    recorder = like_optimum.Recorder(model.request)
    monkeypatch.setattr(model, "request", recorder)
    use(model)
    return recorder.calls


@pytest.mark.parametrize("flags", [(), PREFILL], ids=["stateful", "prefill-only"])
@pytest.mark.parametrize("ask, ask_stand_in", [
    (lambda model: generate(model, PAIR, 4), lambda model: model.greedy(PAIR, 4)),
    (lambda model: generate(model, PAIR[0], 4, num_beams=3, num_return_sequences=3), lambda model: model.beam_search(PAIR[0], 3, 4)),
], ids=["greedy", "beams"])
def test_the_stand_in_makes_the_same_requests(clients, monkeypatch, flags, ask, ask_stand_in):
    made = recorded(clients.optimum("mini", "fp32", *flags), monkeypatch, ask)
    expected = recorded(clients.like_optimum("mini", "fp32", *flags), monkeypatch, ask_stand_in)
    assert len(made) == len(expected) > 3
    for ours, theirs in zip(expected, made):
        assert type(ours) is type(theirs)
        if isinstance(ours, dict):
            assert ours.keys() == theirs.keys()
            for name in ours:
                np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
