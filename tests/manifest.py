# Names, types and shapes of the tensors of a release, written down apart from the program's own table (src/checkpoint/tensor_table.cpp).
import math

BYTES_OF = {"F8_E4M3": 1, "F8_E8M0": 1, "I8": 1, "BF16": 2, "F32": 4, "I64": 8}
STREAMS = 4
# What a release of this form has by the metadata of its index: tensors, bytes of data, files. V4-Flash's files have 159,617,149,040 bytes with their headers.
TOTALS = {
    "v4-flash": (69_187, 159_609_485_896, 46),
    "v4-flash-0731": (72_317, 166_878_536_440, 48),
    "v4-pro": (145_116, 864_704_792_696, 64),
}


def up(value, unit):
    return -(-value // unit)


class Manifest:
    """`tensors`: name -> (dtype, shape)."""

    def __init__(self, config):
        self.config = config
        self.tensors = {}
        c = config
        layers, ratios = c["num_hidden_layers"], c["compress_ratios"]
        self.plain("BF16", "embed.weight", c["vocab_size"], c["hidden_size"])
        self.plain("BF16", "head.weight", c["vocab_size"], c["hidden_size"])
        self.plain("BF16", "norm.weight", c["hidden_size"])
        self.head_of_streams("")
        for layer in range(layers):
            self.block(f"layers.{layer}", ratios[layer], layer < c["num_hash_layers"])
        if "dspark_markov_rank" in c:
            self.draft_stages(len(ratios) - layers)
        elif c["num_nextn_predict_layers"]:
            self.next_token_block("mtp.0")

    def plain(self, dtype, name, *shape):
        self.tensors[name] = (dtype, shape)

    def fp8(self, name, out, inputs):
        self.plain("F8_E4M3", f"{name}.weight", out, inputs)
        self.plain("F8_E8M0", f"{name}.scale", up(out, 128), up(inputs, 128))

    def fp4(self, name, out, inputs):
        self.plain("I8", f"{name}.weight", out, inputs // 2)
        self.plain("F8_E8M0", f"{name}.scale", out, inputs // 32)

    def head_of_streams(self, prefix):
        self.plain("F32", f"{prefix}hc_head_fn", STREAMS, STREAMS * self.config["hidden_size"])
        self.plain("F32", f"{prefix}hc_head_base", STREAMS)
        self.plain("F32", f"{prefix}hc_head_scale", 1)

    def compressor(self, prefix, ratio, width):
        rows = (2 if ratio == 4 else 1) * width
        self.plain("F32", f"{prefix}.ape", ratio, rows)
        self.plain("BF16", f"{prefix}.wkv.weight", rows, self.config["hidden_size"])
        self.plain("BF16", f"{prefix}.wgate.weight", rows, self.config["hidden_size"])
        self.plain("BF16", f"{prefix}.norm.weight", width)

    def block(self, prefix, ratio, hashed):
        c, mix = self.config, (2 + STREAMS) * STREAMS
        hidden, heads, width = c["hidden_size"], c["num_attention_heads"], c["head_dim"]
        for site in ("attn", "ffn"):
            self.plain("F32", f"{prefix}.hc_{site}_fn", mix, STREAMS * hidden)
            self.plain("F32", f"{prefix}.hc_{site}_base", mix)
            self.plain("F32", f"{prefix}.hc_{site}_scale", 3)
            self.plain("BF16", f"{prefix}.{site}_norm.weight", hidden)
        attention, rank, groups = f"{prefix}.attn", c["q_lora_rank"], c["o_groups"]
        self.plain("F32", f"{attention}.attn_sink", heads)
        self.fp8(f"{attention}.wq_a", rank, hidden)
        self.plain("BF16", f"{attention}.q_norm.weight", rank)
        self.fp8(f"{attention}.wq_b", heads * width, rank)
        self.fp8(f"{attention}.wkv", width, hidden)
        self.plain("BF16", f"{attention}.kv_norm.weight", width)
        self.fp8(f"{attention}.wo_a", groups * c["o_lora_rank"], heads * width // groups)
        self.fp8(f"{attention}.wo_b", hidden, groups * c["o_lora_rank"])
        if ratio:
            self.compressor(f"{attention}.compressor", ratio, width)
        if ratio == 4:
            self.fp8(f"{attention}.indexer.wq_b", c["index_n_heads"] * c["index_head_dim"], rank)
            self.plain("BF16", f"{attention}.indexer.weights_proj.weight", c["index_n_heads"], hidden)
            self.compressor(f"{attention}.indexer.compressor", 4, c["index_head_dim"])
        experts, inner = f"{prefix}.ffn", c["moe_intermediate_size"]
        self.plain("BF16", f"{experts}.gate.weight", c["n_routed_experts"], hidden)
        if hashed:
            self.plain("I64", f"{experts}.gate.tid2eid", c["vocab_size"], c["num_experts_per_tok"])
        else:
            self.plain("F32", f"{experts}.gate.bias", c["n_routed_experts"])
        for matrix, shape in {"w1": (inner, hidden), "w2": (hidden, inner), "w3": (inner, hidden)}.items():
            self.fp8(f"{experts}.shared_experts.{matrix}", *shape)
            for expert in range(c["n_routed_experts"]):
                self.fp4(f"{experts}.experts.{expert}.{matrix}", *shape)

    def next_token_block(self, prefix):
        hidden = self.config["hidden_size"]
        self.block(prefix, 0, False)
        self.fp8(f"{prefix}.e_proj", hidden, hidden)
        self.fp8(f"{prefix}.h_proj", hidden, hidden)
        for norm in ("enorm", "hnorm", "norm"):
            self.plain("BF16", f"{prefix}.{norm}.weight", hidden)
        self.head_of_streams(f"{prefix}.")

    def draft_stages(self, count):
        c = self.config
        hidden, rank, last = c["hidden_size"], c["dspark_markov_rank"], f"mtp.{count - 1}"
        for stage in range(count):
            self.block(f"mtp.{stage}", 0, False)
        self.fp8("mtp.0.main_proj", hidden, len(c["dspark_target_layer_ids"]) * hidden)
        self.plain("BF16", "mtp.0.main_norm.weight", hidden)
        self.plain("BF16", f"{last}.norm.weight", hidden)
        self.head_of_streams(f"{last}.")
        for matrix in ("markov_w1", "markov_w2"):
            self.plain("BF16", f"{last}.markov_head.{matrix}.weight", c["vocab_size"], rank)
        self.plain("BF16", f"{last}.confidence_head.proj.weight", 1, hidden + rank)

    def bytes(self):
        return sum(BYTES_OF[dtype] * math.prod(shape) for dtype, shape in self.tensors.values())
