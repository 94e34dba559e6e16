# What the roundings of the CPU program cost: activations to 8 bits, the cache to bfloat16 or as the model was trained, against the program without any.
"""usage: rounding.py [--dsv4 PROGRAM] [--models toy,hash,mini] [--slice MODEL_FOLDER]

Prints Markdown. Logits are compared at every position of a golden with those of the same folder where nothing is rounded; mini's held-out text gives
perplexities. --slice: a folder of a model with real dimensions, compared on 128 pseudo-random tokens.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import bench
from quality import FORMATS, INT4, differences

sys.path.insert(0, str(bench.REPOSITORY / "tests"))
import goldens  # noqa: E402: lies with the tests

EXACT = ("--program", "cpu", "--activations", "f32", "--cache", "f32")
ROUNDINGS = [
    ("nothing", EXACT),
    ("cache bf16", ("--program", "cpu", "--activations", "f32")),
    ("activations int8", ("--program", "cpu", "--cache", "f32")),
    ("both (the default)", ("--program", "cpu")),
    ("both, and --quantize-cache", ("--program", "cpu", "--quantize-cache")),
]
CHOSEN = [FORMATS[0], FORMATS[2], ("int4, groups of 32", (*INT4, "32")), FORMATS[11]]


def logits(program, folder, tokens, work, flags):
    import numpy as np

    bench.run_measured(program, "run", folder, "--tokens-file", tokens, "-n", "0", "--logits", work / "logits.npy", "--json", *flags)
    return np.load(work / "logits.npy")


def rows(program, folder, tokens, work, held_out=None):
    expected = logits(program, folder, tokens, work, EXACT)
    for name, flags in ROUNDINGS:
        cells = [name, *differences(expected, logits(program, folder, tokens, work, flags))]
        if held_out:
            result = json.loads(bench.run_measured(program, "perplexity", folder, "--tokens-file", held_out, "--json", *flags).out)
            cells += [f"{result['nll_per_token']:.4f}", f"{result['perplexity']:.3f}"]
        yield cells


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsv4", type=Path, default=bench.REPOSITORY / "build/release/dsv4")
    parser.add_argument("--models", default="toy,hash,mini")
    parser.add_argument("--slice", type=Path)
    options = parser.parse_args()
    header = ["format", "rounded", "max", "mean", "KL", "arg-max equal"]
    print(f"Machine: {bench.machine()}.\n")
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        tokens, held_out = work / "tokens.json", work / "held-out.json"
        for name in filter(None, options.models.split(",")):
            golden = goldens.load(name)
            tokens.write_text(json.dumps(golden.tokens.tolist()))
            if golden.nll:
                held_out.write_text(json.dumps(golden.nll["tokens"].tolist()))
            table = []
            for format_name, flags in CHOSEN:
                folder = work / f"{name}-{len(table)}"
                bench.run_measured(options.dsv4, "convert", "-m", golden.checkpoint, folder, *flags)
                table += [[format_name, *cells] for cells in rows(options.dsv4, folder, tokens, work, held_out if golden.nll else None)]
            weights = "trained" if name == "mini" else "random"
            title = f"`{name}` ({weights} weights, largest |logit| {golden.max_logit:.1f}, {len(golden.tokens)} tokens):"
            print(bench.table(title, header + (["nats a token", "perplexity"] if golden.nll else []), table))
        if options.slice:
            vocabulary = json.loads((options.slice / "config.json").read_text())["vocab_size"]
            random.seed(1)
            tokens.write_text(json.dumps([random.randrange(vocabulary) for _ in range(128)]))
            table = [[options.slice.name, *cells] for cells in rows(options.dsv4, options.slice, tokens, work)]
            print(bench.table("Real dimensions, synthetic weights (128 tokens):", header, table))


if __name__ == "__main__":
    main()
