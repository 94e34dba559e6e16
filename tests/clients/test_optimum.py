# optimum.intel.OVModelForCausalLM on our folders, stateful and prefill-only: greedy ids are those of `dsv4 run`.
import json

import numpy as np
import pytest
import torch
from optimum.intel import OVConfig
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from client_models import FORMATS, PREFILL

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


def test_config_keeps_every_field_of_the_checkpoint(clients, library):
    folder = clients.folder("mini", "fp32")
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert type(config).__name__ == "DeepseekV4Config" and config.model_type == "deepseek_v4"
    renamed = {"torch_dtype": "dtype"}  # transformers 5
    for name, value in library.golden("mini").config.items():
        found = getattr(config, renamed.get(name, name))
        if name not in ("transformers_version", "torch_dtype"):
            assert found == value, name
    written = json.loads((folder / "config.json").read_text())
    assert written.pop("auto_map") == {"AutoConfig": "configuration_deepseek_v4.DeepseekV4Config"}
    assert written == library.golden("mini").config


def test_tokenizer_and_generation_config_load(clients):
    folder = clients.folder("mini", "fp32")
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1, 1)
    generation = GenerationConfig.from_pretrained(folder)
    assert (generation.bos_token_id, generation.eos_token_id, generation.do_sample, generation.temperature) == (0, 1, True, 1.0)
    made = GenerationConfig.from_pretrained(clients.folder("toy", "fp32"))  # the checkpoint has none
    assert (made.bos_token_id, made.eos_token_id, made.pad_token_id, made.do_sample) == (0, 1, 1, True)


def test_openvino_config_loads(clients):
    config = OVConfig.from_pretrained(clients.folder("mini", "fp32"))
    assert config.dtype == "fp32" and config.quantization_config is None
