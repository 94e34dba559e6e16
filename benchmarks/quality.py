# What each weight format costs: size, logits of the goldens, held-out perplexity of mini; and INT8 on only those tensors that are published in BF16 and F32.
"""usage: quality.py [--dsv4 PROGRAM] [--dir DIRECTORY] [--models toy,hash,mini] [--skip-classes]

Prints Markdown. Logits are compared with those of transformers on all tokens of a golden. Exit code 1 if a folder's logits are further from the reference's
prediction for the weights that it stores than `dsv4 verify` allows.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path

import bench

sys.path.insert(0, str(bench.REPOSITORY / "tests"))
import goldens  # noqa: E402: lies with the tests
from sequence import PROPERTIES, Sequence  # noqa: E402

# Rows that no group of 32 divides keep what `adjust` gives them.
INT4 = ("--weight-format", "int4", "--group-size-fallback", "adjust", "--group-size")
FORMATS = [
    ("fp32", ("--weight-format", "fp32")),
    ("fp16", ("--weight-format", "fp16")),
    ("int8", ("--weight-format", "int8")),
    ("int8, nncf", ("--weight-format", "int8", "--selection", "nncf")),
    ("int8 --sym", ("--weight-format", "int8", "--sym")),
    ("int4, groups of 32", (*INT4, "32")),
    ("int4, groups of 32, nncf", (*INT4, "32", "--selection", "nncf")),
    ("int4 --sym, groups of 32", (*INT4, "32", "--sym")),
    ("int4, groups of 64", (*INT4, "64")),
    ("int4, groups of 64, nncf", (*INT4, "64", "--selection", "nncf")),
    ("int4, groups of 64, --ratio 0.5", (*INT4, "64", "--ratio", "0.5")),
    ("mxfp4", ("--weight-format", "mxfp4")),
    ("mxfp4, nncf", ("--weight-format", "mxfp4", "--selection", "nncf")),
    ("published", ("--weight-format", "published")),
]

# float32 products of float32 inputs, whatever the weights; without the second, inputs of compressed products are rounded to 8 bits.
EXACT = {**PROPERTIES, "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
ACTIVATION_FORMATS = [FORMATS[2], FORMATS[5], FORMATS[11]]

# Tensors by how they are published, as the ends of their names.
CLASSES = [
    ("compressors wkv, wgate (BF16)", (".attn.compressor.wkv.weight", ".attn.compressor.wgate.weight")),
    ("indexer compressors wkv, wgate (BF16)", (".indexer.compressor.wkv.weight", ".indexer.compressor.wgate.weight")),
    ("indexer weights_proj (BF16)", (".indexer.weights_proj.weight",)),
    ("router gate (BF16)", (".ffn.gate.weight",)),
    ("hyper-connections fn (F32)", ("hc_attn_fn", "hc_ffn_fn", "hc_head_fn")),
    ("all of these", (".compressor.wkv.weight", ".compressor.wgate.weight", ".indexer.weights_proj.weight", ".ffn.gate.weight", "hc_attn_fn", "hc_ffn_fn",
                      "hc_head_fn")),
    ("embedding and head (BF16)", ("embed.weight", "head.weight")),
    ("attention matrices (FP8)", (".attn.wq_a.weight", ".attn.wq_b.weight", ".attn.wkv.weight", ".attn.wo_b.weight", ".indexer.wq_b.weight") +
     tuple(f".attn.wo_a.weight/rows.{group}" for group in range(16))),
    ("experts (FP4), shared experts (FP8)", (".ffn.experts.w1w3.weight", ".ffn.experts.w2.weight", ".shared_experts.w1.weight", ".shared_experts.w2.weight",
                                             ".shared_experts.w3.weight")),
]


def log_softmax(logits):
    import numpy as np

    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def differences(expected, actual):
    """Cells: max, mean, KL in nats, arg-max equal."""
    import numpy as np

    expected, actual = expected.astype(np.float64), actual.astype(np.float64)
    difference = np.abs(actual - expected)
    log_expected, log_actual = log_softmax(expected), log_softmax(actual)
    kl = (np.exp(log_expected) * (log_expected - log_actual)).sum(axis=1).mean()
    equal = int((expected.argmax(axis=1) == actual.argmax(axis=1)).sum())
    return [f"{difference.max():.2g}", f"{difference.mean():.2g}", f"{max(kl, 0.0):.2g}", f"{equal} of {len(expected)}"]


def run(*command):
    """Standard output of a program that may fail: (exit code, text)."""
    command = [str(part) for part in command]
    bench.say(" ".join(command))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


def perplexity(program, folder, tokens):
    return json.loads(bench.run_measured(program, "perplexity", folder, "--tokens-file", tokens, "--json").out)


class Formats:
    """The table of one golden."""

    def __init__(self, program, golden, work):
        self.program, self.golden, self.work = program, golden, work
        self.tokens, self.held_out = work / "tokens.json", work / "held-out.json"
        self.tokens.write_text(json.dumps(golden.tokens.tolist()))
        if golden.nll:
            self.held_out.write_text(json.dumps(golden.nll["tokens"].tolist()))
        self.passed = True

    def row(self, name, flags):
        import numpy as np

        folder = self.work / "model"
        bench.run_measured(self.program, "convert", "-m", self.golden.checkpoint, folder, *flags)
        code, out = run(self.program, "verify", self.golden.checkpoint, folder, "--tokens-file", self.tokens, "--json")
        if not out:
            sys.exit(f"bench: verify of {name}: exit code {code}")
        verified = json.loads(out)
        self.passed &= verified["passed"]
        bench.run_measured(self.program, "run", folder, "--program", "portable", "--tokens-file", self.tokens, "-n", "0", "--logits", self.work / "logits.npy", "--json")
        logits = np.load(self.work / "logits.npy")
        size = (folder / "openvino_model.bin").stat().st_size
        cells = [name, bench.size_text(size), *differences(self.golden.references["logits_transformers"], logits),
                 f"{verified['against_prediction']['max_difference']:.1g}"]
        if self.golden.nll:
            likelihood = perplexity(self.program, folder, self.held_out)
            cells += [f"{likelihood['nll_per_token']:.4f}", f"{likelihood['perplexity']:.3f}"]
        shutil.rmtree(folder)
        return cells

    def table(self):
        header = ["format", "openvino_model.bin", "max", "mean", "KL", "arg-max equal", "IR: max"]
        if self.golden.nll:
            header += ["nats a token", "perplexity"]
        weights = "trained" if self.golden.name == "mini" else "random"
        return bench.table(f"`{self.golden.name}` ({weights} weights, largest |logit| {self.golden.max_logit:.1f}, {len(self.golden.tokens)} tokens):", header,
                           [self.row(name, flags) for name, flags in FORMATS])


def int8_rows(weights):
    """INT8_ASYM a row by definition (spec: NNCF's data-free arithmetic): codes u8, zero points u8 and scales f16 [..., 1]."""
    import numpy as np

    low = np.minimum(weights.min(axis=-1, keepdims=True), 0)
    high = np.maximum(weights.max(axis=-1, keepdims=True), 0)
    scale = np.maximum((high - low) / np.float32(255), np.float32(2.0**-23))
    zero = np.clip(-np.rint(low / scale), 0, 255)
    return np.clip(np.rint(weights / scale + zero), 0, 255).astype(np.uint8), zero.astype(np.uint8), scale.astype(np.float16)


def compress(model, ends):
    """Puts INT8 in the place of the float constants whose names end so; their number."""
    import openvino as ov
    from openvino import opset13 as op

    count = 0
    for node in model.get_ops():
        name = node.get_friendly_name()
        if node.get_type_name() != "Constant" or not name.endswith(ends):
            continue
        codes, zero, scale = int8_rows(node.data)
        values = op.subtract(op.convert(op.constant(codes), ov.Type.f16), op.convert(op.constant(zero), ov.Type.f16))
        weight = op.convert(op.multiply(values, op.constant(scale)), ov.Type.f32)
        for target in node.output(0).get_target_inputs():
            target.replace_source_output(weight.output(0))
        count += 1
    return count


def held_out(compiled, golden):
    """Nats a token of the golden's held-out text, as one sequence."""
    import numpy as np

    tokens, sequence, nats = golden.nll["tokens"], Sequence(compiled), 0.0
    for begin in range(0, len(tokens) - 1, 512):
        part = tokens[begin:begin + 513]
        logits = log_softmax(sequence.feed(part[:-1])[0].astype(np.float64))
        nats -= logits[np.arange(len(part) - 1), part[1:]].sum()
    return nats / (len(tokens) - 1)


def classes_table(program, golden, work):
    """INT8 on one class of tensors and float32 on all others."""
    import openvino as ov

    folder = work / "fp32"
    bench.run_measured(program, "convert", "-m", golden.checkpoint, folder)
    rows = []
    for name, ends in [("none", ())] + CLASSES:
        model = ov.Core().read_model(folder / "openvino_model.xml")
        count = compress(model, ends) if ends else 0
        if ends and not count:
            continue
        bench.say(f"{golden.name}: INT8 on {name}, {count} constants")
        compiled = ov.Core().compile_model(model, "CPU", EXACT)
        row = [name, count, *differences(golden.references["logits_transformers"], Sequence(compiled).feed(golden.tokens)[0])]
        if golden.nll:
            per_token = held_out(compiled, golden)
            row += [f"{per_token:.4f}", f"{math.exp(per_token):.3f}"]
        rows.append(row)
    header = ["INT8 on", "constants", "max", "mean", "KL", "arg-max equal"] + (["nats a token", "perplexity"] if golden.nll else [])
    return bench.table(f"`{golden.name}`, INT8_ASYM a row on one class of tensors, all others in float32:", header, rows)


def activations_table(program, golden, work):
    """What OpenVINO's rounding of activations to 8 bits adds to the rounding of the weights."""
    import openvino as ov

    rows = []
    for name, flags in ACTIVATION_FORMATS:
        folder = work / "model"
        bench.run_measured(program, "convert", "-m", golden.checkpoint, folder, *flags)
        logits = {}
        for group, properties in (("0", EXACT), ("default", PROPERTIES)):
            compiled = ov.Core().compile_model(ov.Core().read_model(folder / "openvino_model.xml"), "CPU", properties)
            logits[group] = Sequence(compiled).feed(golden.tokens)[0]
            default = compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE")
            likelihood = held_out(compiled, golden)
            rows.append([name, group if group == "0" else f"default ({default})", *differences(golden.references["logits_transformers"], logits[group]),
                         *differences(logits["0"], logits[group])[:2], f"{likelihood:.4f}", f"{math.exp(likelihood):.3f}"])
        shutil.rmtree(folder)
    return bench.table(f"`{golden.name}` with `DYNAMIC_QUANTIZATION_GROUP_SIZE` 0 and without it:",
                       ["format", "group", "max", "mean", "KL", "arg-max equal", "max, to 0", "mean, to 0", "nats a token", "perplexity"], rows)


def product_milliseconds(rounds=12, calls=4):
    """One product with a random u4 matrix of 4096 x 4096 in groups of 64: {(tokens, property): least time}."""
    import numpy as np
    import openvino as ov
    from openvino import opset13 as op

    random, size, group = np.random.default_rng(0), 4096, 64
    codes = ov.Tensor(ov.Type.u4, ov.Shape([size, size // group, group]))
    codes.data[...] = random.integers(0, 256, codes.data.shape, np.uint8)
    scale = (random.random((size, size // group, 1)) * 0.01).astype(np.float16)
    zero = op.constant(np.full((size, size // group, 1), 7, np.uint8))
    values = op.subtract(op.convert(ov.op.Constant(codes), ov.Type.f16), op.convert(zero, ov.Type.f16))
    weight = op.reshape(op.multiply(values, op.constant(scale)), op.constant(np.array([size, size])), False)
    x = op.parameter([-1, 1, size], np.float32)
    model = ov.Model([op.matmul(x, op.convert(weight, ov.Type.f32), False, True)], [x])
    requests = {group: ov.Core().compile_model(model, "CPU", properties).create_infer_request() for group, properties in (("0", EXACT), ("default", PROPERTIES))}
    best = {}
    for tokens in (1, 16, 128):
        rows = random.standard_normal((tokens, 1, size)).astype(np.float32)
        for _ in range(rounds * calls):
            for name, request in requests.items():
                start = time.perf_counter()
                request.infer([rows])
                best[tokens, name] = min(best.get((tokens, name), math.inf), time.perf_counter() - start)
    return {key: seconds * 1e3 for key, seconds in best.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsv4", default=bench.REPOSITORY / "build/release/dsv4")
    parser.add_argument("--dir", default=bench.REPOSITORY / "build/bench")
    parser.add_argument("--models", default=",".join(goldens.NAMES))
    parser.add_argument("--skip-classes", action="store_true", help="only the table of the formats")
    arguments = parser.parse_args()
    unknown = set(arguments.models.split(",")) - set(goldens.NAMES)
    if unknown:
        parser.error(f"--models: {', '.join(sorted(unknown))}; expected some of {', '.join(goldens.NAMES)}")

    print(f"{bench.machine()}.\n")
    passed = True
    for name in arguments.models.split(","):
        golden = goldens.load(name)
        with bench.work_directory(arguments.dir) as directory:
            formats = Formats(arguments.dsv4, golden, Path(directory))
            print(formats.table(), flush=True)
            passed &= formats.passed
            if not arguments.skip_classes:
                print(classes_table(arguments.dsv4, golden, Path(directory)), flush=True)
            if golden.nll:
                print(activations_table(arguments.dsv4, golden, Path(directory)), flush=True)
    times = product_milliseconds()
    print(bench.table("A product with a u4 matrix of 4096 x 4096 in groups of 64, two threads, least of 48 calls in turn, ms:",
                      ["tokens", "group 0", "default"], [[tokens, f"{times[tokens, '0']:.2f}", f"{times[tokens, 'default']:.2f}"] for tokens in (1, 16, 128)]))
    if not passed:
        bench.say("FAILED: a folder's logits are not what its weights predict")
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
