# The configuration, tokenizer and generation settings of our folders in transformers, as optimum-intel and GenAI's users load them.
import json

from transformers import AutoConfig, AutoTokenizer, GenerationConfig


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
