# Small config.json files that differ from the golden models in every way that a DeepSeek-V4 config can.
import json

import goldens

YARN = {"type": "yarn", "factor": 8, "original_max_position_embeddings": 256, "beta_fast": 32, "beta_slow": 1}

CSA, HCA = "compressed_sparse_attention", "heavily_compressed_attention"
COMPRESS_ROPE = {"rope_type": "yarn", "rope_theta": 90000.0, "factor": 4, "original_max_position_embeddings": 128, "beta_fast": 32,
                 "beta_slow": 1, "attention_factor": 1.0}

# Changes to the toy's config; None takes a field away.
VARIANTS = {
    # Like V4-Pro: no layer without compression, more heads in more groups, more experts, a larger scaling factor.
    "pro": dict(num_hidden_layers=5, compress_ratios=[128, 128, 4, 128, 4, 0], num_nextn_predict_layers=1, hidden_size=160,
                num_attention_heads=8, o_groups=4, head_dim=48, qk_rope_head_dim=16, q_lora_rank=96, o_lora_rank=48,
                n_routed_experts=12, num_experts_per_tok=3, moe_intermediate_size=96, routed_scaling_factor=2.5, hc_sinkhorn_iters=20,
                index_topk=12, index_n_heads=16, rope_scaling=YARN),
    # Like V4-Flash: hash-routed layers in front, YaRN; and all experts of one are used.
    "flash": dict(num_hidden_layers=5, compress_ratios=[0, 0, 4, 128, 4], num_hash_layers=3, n_routed_experts=6, num_experts_per_tok=6,
                  hc_sinkhorn_iters=20, index_topk=8, swiglu_limit=0.5, rope_scaling=YARN),
    # A window that no rate divides, one output group, heads that are no power of two, one expert a token.
    "odd-window": dict(num_hidden_layers=4, compress_ratios=[4, 0, 128, 4], sliding_window=37, num_attention_heads=3, o_groups=1,
                       num_experts_per_tok=1, n_routed_experts=5, head_dim=40, vocab_size=301),
    # The indexer keeps one entry only; every head has its own output group; the window is the token itself.
    "narrow": dict(num_hidden_layers=3, compress_ratios=[4, 4, 0], sliding_window=1, index_topk=1, index_n_heads=1, o_groups=4,
                   qk_rope_head_dim=2),
    # Two residual streams, one Sinkhorn step, no clamp, everything rotated.
    "two-streams": dict(num_hidden_layers=3, compress_ratios=[128, 4, 4], hc_mult=2, hc_sinkhorn_iters=1, swiglu_limit=0,
                        qk_rope_head_dim=32, rope_scaling=YARN),
    # One layer of each kind alone.
    "sliding-only": dict(num_hidden_layers=1, compress_ratios=[0], sliding_window=8),
    "sparse-only": dict(num_hidden_layers=1, compress_ratios=[4], sliding_window=8, index_topk=3),
    "heavy-only": dict(num_hidden_layers=1, compress_ratios=[128], sliding_window=8),
    # The config as transformers writes it: classes instead of ratios, other rates, rope_parameters.
    "transformers": dict(num_hidden_layers=4, compress_ratios=None, num_hash_layers=None, rope_theta=None, compress_rope_theta=None,
                         qk_rope_head_dim=None, layer_types=[HCA, CSA, "sliding_attention", CSA], compress_rates={CSA: 8, HCA: 24},
                         mlp_layer_types=["hash_moe", "moe", "moe", "moe"], partial_rotary_factor=0.25, sliding_window=16, index_topk=5,
                         rope_parameters={"main": {"rope_type": "default", "rope_theta": 20000.0}, "compress": COMPRESS_ROPE}),
}


def config(name):
    base = json.loads((goldens.CHECKPOINTS["toy"] / "config.json").read_text())
    base.update(VARIANTS[name])
    return {key: value for key, value in base.items() if value is not None}


def write_config(name, path):
    path.write_text(json.dumps(config(name), indent=1))
    return path
