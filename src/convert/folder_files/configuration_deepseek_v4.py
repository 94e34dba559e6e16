# DeepSeek-V4's configuration for a transformers that does not know the architecture: config.json names it under auto_map. Every field stays as it is.
from transformers import PretrainedConfig

DEFAULTS = {"vocab_size": 129280, "hidden_size": 4096, "num_hidden_layers": 43, "num_attention_heads": 64, "num_key_value_heads": 1,
            "max_position_embeddings": 1048576, "use_cache": True}
# Two RoPE bases and DeepSeek's own names: transformers' rewriting of RoPE fields does not fit them, and OpenVINO's graph has them built in.
ROPE_FIELDS = ("rope_scaling", "rope_parameters", "rope_theta", "compress_rope_theta")


class DeepseekV4Config(PretrainedConfig):
    model_type = "deepseek_v4"
    keys_to_ignore_at_inference = ["past_key_values"]

    def __init__(self, **kwargs):
        rope = {name: kwargs.pop(name) for name in ROPE_FIELDS if name in kwargs}
        for name, value in DEFAULTS.items():
            setattr(self, name, kwargs.pop(name, value))
        super().__init__(**kwargs)
        for name, value in rope.items():
            setattr(self, name, value)
