#!/usr/bin/env python3
# Makes tests/data/oracle/long: a checkpoint and the float64 oracle's logits of the last 64 of 4,096 tokens on it.
"""usage: make_long.py DIRECTORY_OF_dsv4_tiny_oracle.py OUT

Plain Python: the oracle is dsv4_tiny_oracle.py as it made golden_tiny.json, unchanged, with the numbers below. One core, some minutes.
OUT gets config.json, model.safetensors (every weight F32, tables I64) and expected.safetensors: tokens [4096], logits [64, V] rounded to float32.
"""
import array
import json
import pathlib
import struct
import sys

TOKENS, ROWS, SEED, TOKEN_SEED = 4096, 64, 20261130, 3  # with these tokens no choice is so close that float32 makes another one
# The window, top-k, rates and YaRN of the releases; everything else tiny. Indexer heads are as many as make scores of exactly zero (all ReLUs closed) rare.
CHANGES = dict(n_layers=4, n_hash_layers=1, window_size=128, compress_ratios=[0, 4, 128, 4, 0], index_topk=512, original_seq_len=65536, rope_factor=16.0,
               swiglu_limit=10.0, index_n_heads=8)
PUBLISHED = dict(vocab_size="vocab_size", dim="hidden_size", n_layers="num_hidden_layers", n_hash_layers="num_hash_layers", n_heads="num_attention_heads",
                 head_dim="head_dim", rope_head_dim="qk_rope_head_dim", q_lora_rank="q_lora_rank", o_groups="o_groups", o_lora_rank="o_lora_rank",
                 window_size="sliding_window", n_routed_experts="n_routed_experts", n_activated_experts="num_experts_per_tok",
                 moe_inter_dim="moe_intermediate_size", route_scale="routed_scaling_factor", swiglu_limit="swiglu_limit", index_n_heads="index_n_heads",
                 index_head_dim="index_head_dim", index_topk="index_topk", rope_theta="rope_theta", compress_rope_theta="compress_rope_theta", hc_mult="hc_mult",
                 hc_sinkhorn_iters="hc_sinkhorn_iters", hc_eps="hc_eps", norm_eps="rms_norm_eps")


def published_config(c):
    config = dict(architectures=["DeepseekV4ForCausalLM"], model_type="deepseek_v4", hidden_act="silu", scoring_func="sqrtsoftplus", n_shared_experts=1,
                  num_nextn_predict_layers=0, bos_token_id=0, eos_token_id=1, max_position_embeddings=1048576,
                  compress_ratios=c["compress_ratios"][:c["n_layers"]],
                  rope_scaling=dict(type="yarn", factor=c["rope_factor"], original_max_position_embeddings=c["original_seq_len"], beta_fast=c["beta_fast"],
                                    beta_slow=c["beta_slow"]))
    config.update({name: c[key] for key, name in PUBLISHED.items()})
    return config


def flat(values):
    return [x for v in values for x in flat(v)] if isinstance(values, list) else [values]


def shape(values):
    return [len(values), *shape(values[0])] if isinstance(values, list) else []


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, (dtype, values) in tensors.items():
        content = array.array({"F32": "f", "I64": "q", "F64": "d"}[dtype], flat(values)).tobytes()
        header[name] = dict(dtype=dtype, shape=shape(values), data_offsets=[len(data), len(data) + len(content)])
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    sys.path.insert(0, sys.argv[1])
    import dsv4_tiny_oracle as oracle
    out = pathlib.Path(sys.argv[2])
    c = dict(oracle.CFG, **CHANGES)
    weights = oracle.make_weights(c, SEED)
    rng = oracle.Rng(TOKEN_SEED)
    tokens = [int(rng.u() * c["vocab_size"]) for _ in range(TOKENS)]
    out.mkdir(exist_ok=True)
    (out / "config.json").write_text(json.dumps(published_config(c), indent=1) + "\n")
    write_safetensors(out / "model.safetensors", {name: ("I64" if name.endswith("tid2eid") else "F32", values) for name, values in weights.items()
                                                  if not name.startswith("mtp.")})
    _, logits = oracle.Model(c, weights, "A").forward(tokens, 0)
    write_safetensors(out / "expected.safetensors", dict(tokens=("I64", tokens), logits=("F32", logits[-ROWS:])))


main()
