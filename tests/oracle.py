# The float64 oracle's model as a checkpoint: DeepSeek's tensor names, every weight in float32.
import json

import numpy as np

import goldens
import safetensors_file
from safetensors_file import Stored

# DeepSeek's inference/config.json names -> config.json names.
FIELDS = {
    "vocab_size": "vocab_size", "dim": "hidden_size", "n_layers": "num_hidden_layers",
    "n_hash_layers": "num_hash_layers", "n_heads": "num_attention_heads", "head_dim": "head_dim",
    "rope_head_dim": "qk_rope_head_dim", "q_lora_rank": "q_lora_rank", "o_groups": "o_groups",
    "o_lora_rank": "o_lora_rank", "window_size": "sliding_window", "compress_ratios": "compress_ratios",
    "n_routed_experts": "n_routed_experts", "n_activated_experts": "num_experts_per_tok",
    "moe_inter_dim": "moe_intermediate_size", "route_scale": "routed_scaling_factor", "swiglu_limit": "swiglu_limit",
    "index_n_heads": "index_n_heads", "index_head_dim": "index_head_dim", "index_topk": "index_topk",
    "rope_theta": "rope_theta", "compress_rope_theta": "compress_rope_theta", "hc_mult": "hc_mult",
    "hc_sinkhorn_iters": "hc_sinkhorn_iters", "hc_eps": "hc_eps", "norm_eps": "rms_norm_eps",
}


def write_checkpoint(directory):
    data = goldens.load_oracle()
    given = data["config"]
    config = {
        "architectures": ["DeepseekV4ForCausalLM"], "model_type": "deepseek_v4", "hidden_act": "silu", "scoring_func": "sqrtsoftplus",
        "max_position_embeddings": 4096, "num_nextn_predict_layers": 0, "n_shared_experts": 1, "bos_token_id": 0, "eos_token_id": 1,
        "rope_scaling": {"type": "yarn", "factor": given["rope_factor"], "original_max_position_embeddings": given["original_seq_len"],
                         "beta_fast": given["beta_fast"], "beta_slow": given["beta_slow"]},
    }
    config.update({name: given[key] for key, name in FIELDS.items()})
    config["compress_ratios"] = given["compress_ratios"][:given["n_layers"]]
    tensors = {}
    for name, values in data["weights"].items():
        if name.startswith("mtp."):
            continue
        kind = np.int64 if name.endswith("tid2eid") else np.float32
        array = np.array(values, kind)
        tensors[name] = Stored("I64" if kind is np.int64 else "F32", array.shape, array.tobytes())
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
    safetensors_file.write(directory / "model.safetensors", tensors)
