# Writes a small random DeepSeek-V4 with the save_pretrained of the transformers that runs this, and the logits of what was saved.
"""usage: make.py OUT

Three kinds of layers, a hash layer among them; weights in BF16 from a fixed seed. OUT gets what save_pretrained writes, expected.safetensors (tokens i64 [T], logits
f32 [T,V] of eager attention in float32 on the saved weights) and provenance.json. The same releases of transformers and torch write the same bytes again.
"""

import json
import platform
import sys
from pathlib import Path

import safetensors.torch
import torch
import transformers
from transformers import DeepseekV4Config, DeepseekV4ForCausalLM

SEED = 20261130
TOKENS = 150  # past one entry of the rate 128
CONFIG = {
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "partial_rotary_factor": 0.25,
    "q_lora_rank": 32,
    "o_groups": 2,
    "o_lora_rank": 16,
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"],
    "mlp_layer_types": ["hash_moe", "moe", "moe"],
    "index_n_heads": 2,
    "index_head_dim": 16,
    "index_topk": 64,  # all that there are: many scores of two heads are exactly 0, and of equal ones each implementation takes others
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "hc_mult": 2,
    "hc_sinkhorn_iters": 3,
    "max_position_embeddings": 512,
    "num_nextn_predict_layers": 0,
}


def fill(model):
    """Weights of a size at which every part of the model shows in the logits."""
    generator = torch.Generator().manual_seed(SEED)
    experts, chosen = CONFIG["n_routed_experts"], CONFIG["num_experts_per_tok"]
    for name, tensor in model.state_dict().items():  # shares the memory of the parameters
        if not tensor.is_floating_point():  # the hash layer's table: distinct experts for each token
            assert name.endswith("tid2eid") and tensor.shape == (CONFIG["vocab_size"], chosen), name
            tensor.copy_(torch.stack([torch.randperm(experts, generator=generator)[:chosen] for _ in range(CONFIG["vocab_size"])]))
            continue
        drawn = torch.randn(tensor.shape, generator=generator)
        if "norm" in name:
            tensor.copy_(1 + 0.2 * drawn)
        elif tensor.dim() == 1:
            tensor.copy_(0.5 * drawn)
        else:
            tensor.copy_(drawn * 1.5 / tensor.shape[-1] ** 0.5)


def main():
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    torch.cuda.is_current_stream_capturing = lambda: False  # transformers asks; torch's answer is no good where tools/cuda-stand-ins.py stands in for CUDA
    model = DeepseekV4ForCausalLM(DeepseekV4Config(**CONFIG, attn_implementation="eager"))
    with torch.no_grad():
        fill(model)
    model = model.to(torch.bfloat16).eval()
    model.save_pretrained(out)
    tokens = torch.randint(CONFIG["vocab_size"], (TOKENS,), generator=torch.Generator().manual_seed(SEED + 1))
    # Read again: the tables of RoPE are not saved, and went to BF16 with the model above.
    again = DeepseekV4ForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        logits = again(input_ids=tokens[None], use_cache=False).logits[0]
    assert torch.isfinite(logits).all()
    safetensors.torch.save_file({"tokens": tokens, "logits": logits.contiguous()}, out / "expected.safetensors")
    provenance = {"transformers": transformers.__version__, "torch": torch.__version__, "safetensors": safetensors.__version__,
                  "python": platform.python_version(), "seed": SEED, "largest logit": round(float(logits.abs().max()), 3)}
    (out / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")


if __name__ == "__main__":
    main()
