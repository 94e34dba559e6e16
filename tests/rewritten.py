# Checkpoints rewritten into other published forms: FP8 experts with F32 scales (Base), transformers' names with stacked experts in BF16.
import json
import re

import numpy as np

import safetensors_file
from safetensors_file import Stored
from weights import E4M3, FP8_BLOCK, Checkpoint, to_bf16

EXPERT = re.compile(r"layers\.(\d+)\.ffn\.experts\.(\d+)\.(w[123])\.(weight|scale)")

# DeepSeek's name -> transformers', in order; the first rule that matches a name's whole end is used.
LAYER_RULES = [
    (r"hc_(attn|ffn)_(fn|base|scale)", r"\1_hc.\2"),
    (r"attn_norm\.weight", "input_layernorm.weight"),
    (r"ffn_norm\.weight", "post_attention_layernorm.weight"),
    (r"attn\.attn_sink", "self_attn.sinks"),
    (r"attn\.wq_a\.weight", "self_attn.q_a_proj.weight"),
    (r"attn\.q_norm\.weight", "self_attn.q_a_norm.weight"),
    (r"attn\.wq_b\.weight", "self_attn.q_b_proj.weight"),
    (r"attn\.wkv\.weight", "self_attn.kv_proj.weight"),
    (r"attn\.kv_norm\.weight", "self_attn.kv_norm.weight"),
    (r"attn\.wo_([ab])\.weight", r"self_attn.o_\1_proj.weight"),
    (r"attn\.indexer\.wq_b\.weight", "self_attn.compressor.indexer.q_b_proj.weight"),
    (r"attn\.indexer\.weights_proj\.weight", "self_attn.compressor.indexer.scorer.weights_proj.weight"),
    (r"attn\.indexer\.compressor\.(.+)", r"attn.compressor.indexer.\1"),
    (r"attn\.compressor\.(indexer\.)?ape", r"self_attn.compressor.\1position_bias"),
    (r"attn\.compressor\.(indexer\.)?wkv\.weight", r"self_attn.compressor.\1kv_proj.weight"),
    (r"attn\.compressor\.(indexer\.)?wgate\.weight", r"self_attn.compressor.\1gate_proj.weight"),
    (r"attn\.compressor\.(indexer\.)?norm\.weight", r"self_attn.compressor.\1kv_norm.weight"),
    (r"ffn\.gate\.bias", "mlp.gate.e_score_correction_bias"),
    (r"ffn\.gate\.(weight|tid2eid)", r"mlp.gate.\1"),
    (r"ffn\.shared_experts\.w1\.weight", "mlp.shared_experts.gate_proj.weight"),
    (r"ffn\.shared_experts\.w2\.weight", "mlp.shared_experts.down_proj.weight"),
    (r"ffn\.shared_experts\.w3\.weight", "mlp.shared_experts.up_proj.weight"),
]
GLOBAL_NAMES = {
    "embed.weight": "model.embed_tokens.weight", "head.weight": "lm_head.weight", "norm.weight": "model.norm.weight",
    "hc_head_fn": "model.hc_head.hc_fn", "hc_head_base": "model.hc_head.hc_base", "hc_head_scale": "model.hc_head.hc_scale",
}


def transformers_name(name):
    if name in GLOBAL_NAMES:
        return GLOBAL_NAMES[name]
    prefix, rest = re.fullmatch(r"(layers\.\d+\.)(.+)", name).groups()
    for pattern, replacement in LAYER_RULES:
        if match := re.fullmatch(pattern, rest):
            renamed = match.expand(replacement)
            if renamed.startswith("attn."):  # the indexer's compressor takes the compressor's rules after it has moved
                rest = renamed
                continue
            return f"model.{prefix}{renamed}"
    raise AssertionError(f"no rule for {name}")


def quantise_fp8(values):
    """FP8 E4M3 codes by 128 x 128 blocks and their F32 scales, powers of two: the Base releases' form."""
    rows, columns = values.shape
    blocks = (-(-rows // FP8_BLOCK), -(-columns // FP8_BLOCK))
    padded = np.zeros((blocks[0] * FP8_BLOCK, blocks[1] * FP8_BLOCK), np.float32)
    padded[:rows, :columns] = values
    largest = np.abs(padded.reshape(blocks[0], FP8_BLOCK, blocks[1], FP8_BLOCK)).max(axis=(1, 3))
    scales = np.exp2(np.ceil(np.log2(np.maximum(largest, 1e-30) / 448))).astype(np.float32)
    scaled = values / scales.repeat(FP8_BLOCK, 0).repeat(FP8_BLOCK, 1)[:rows, :columns]
    positive = E4M3[:127]  # ascending
    upper = np.searchsorted(positive, np.abs(scaled)).clip(1, 126)
    codes = np.where(np.abs(scaled) - positive[upper - 1] < positive[upper] - np.abs(scaled), upper - 1, upper).astype(np.uint8)
    codes |= np.where(scaled < 0, 0x80, 0).astype(np.uint8)
    return Stored("F8_E4M3", values.shape, codes.tobytes()), Stored("F32", blocks, scales.tobytes())


def write_base(source, directory):
    """Routed experts in FP8 with F32 scales, everything else as it is."""
    checkpoint = Checkpoint(source)
    tensors = {name: stored for name, stored in checkpoint.tensors.items() if not EXPERT.fullmatch(name)}
    for name in checkpoint.tensors:
        if EXPERT.fullmatch(name) and name.endswith(".weight"):
            tensors[name], tensors[name.removesuffix("weight") + "scale"] = quantise_fp8(checkpoint.weight(name))
    config = dict(checkpoint.config)
    config.pop("expert_dtype", None)
    write(directory, config, tensors)


def write_transformers(source, directory):
    """transformers' names; matrices in BF16, which holds FP8 and FP4 values exactly; a layer's experts in two stacked tensors."""
    checkpoint = Checkpoint(source)
    tensors = {}
    for name, stored in checkpoint.tensors.items():
        if name.startswith("mtp.") or name.endswith(".scale") or EXPERT.fullmatch(name):
            continue
        tensors[transformers_name(name)] = to_bf16(checkpoint.weight(name)) if stored.dtype == "F8_E4M3" else stored
    for layer in range(checkpoint.config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}.mlp.experts"
        tensors[f"{prefix}.gate_up_proj"] = to_bf16(checkpoint.expert_stack(layer, ["w1", "w3"]))
        tensors[f"{prefix}.down_proj"] = to_bf16(checkpoint.expert_stack(layer, ["w2"]))
    dropped = ("expert_dtype", "quantization_config")
    write(directory, {key: value for key, value in checkpoint.config.items() if key not in dropped}, tensors)


def write(directory, config, tensors):
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
    safetensors_file.write(directory / "model.safetensors", tensors)


def edit_config(directory, **changes):
    """None takes a field away."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config.update(changes)
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
