# Sequences that decode at once against one alone, in one process in turn: a slice of V4-Flash's dimensions in INT4 and MXFP4.
"""usage: parallel.py DSV4 DIRECTORY [--sequences 8] [--runs 5]

Makes a slice of six layers (two sliding, CSA, HCA, CSA, HCA), 64 experts and a vocabulary of 16,384 in DIRECTORY, some 10 GB, unless it is
there, and prints a row a format: medians over the runs of `dsv4 bench --parallel`."""

import argparse
import json
import pathlib
import statistics
import subprocess

CONFIG = pathlib.Path(__file__).parent / "configs/v4-flash-slice.json"
SLICE = {"num_hidden_layers": 6, "compress_ratios": [0, 0, 4, 128, 4, 128], "n_routed_experts": 64, "vocab_size": 16384}


def folder(dsv4, directory, weight_format):
    checkpoint, converted = directory / "checkpoint", directory / weight_format
    if not converted.exists():
        if not checkpoint.exists():
            config = directory / "config.json"
            config.write_text(json.dumps(json.loads(CONFIG.read_text()) | SLICE))
            subprocess.run([dsv4, "synth", config, checkpoint], check=True)
        subprocess.run([dsv4, "convert", "-m", checkpoint, converted, "--weight-format", weight_format], check=True)
    return converted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dsv4")
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    print(f"| format | one, tokens/s | {arguments.sequences} at once, tokens/s | ratio | memory reads, GB/s |\n|---|--:|--:|--:|--:|")
    for weight_format in ("int4", "mxfp4"):
        model = folder(arguments.dsv4, arguments.directory, weight_format)
        command = [arguments.dsv4, "bench", model, "-p", 200, "-n", 16, "--repeats", 1, "--weights", "load", "--parallel", arguments.sequences, "--json"]
        runs = [json.loads(subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE).stdout) for _ in range(arguments.runs)]
        one = [run["decode_tokens_per_second"] for run in runs]
        together = [run["parallel"]["tokens_per_second"] for run in runs]
        ratio = statistics.median(b / a for a, b in zip(one, together))
        reads = statistics.median(run["bandwidth_gb_per_second"] for run in runs)
        print(f"| {weight_format} | {statistics.median(one):.2f} | {statistics.median(together):.2f} | {ratio:.2f} | {reads:.1f} |", flush=True)


if __name__ == "__main__":
    main()
