# Many prompts with `dsv4 run --prompts`: several side by side against one after another, in turn. Markdown.
"""usage: offline_prompts.py FOLDER [FOLDER ...] [--dsv4 PROGRAM] [--prompts 64] [--length 200] [--new 64] [--parallel 8] [--repeats 5] [--threads 2] [--weights load]

Prompts are token ids without a meaning; every text has --new tokens. Times are those that the program states: from the first line until the last text, the folder being
open. The texts of both ways have to be the same. Exit code 1 where they are not.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import bench

SUMMARY = re.compile(r"prompts: .*: (\d+) prompt tokens and (\d+) new ones in ([0-9.e+]+) s$", re.MULTILINE)


def write_prompts(arguments, vocabulary, file):
    """Lines whose ids differ, as a sequence that a generator without a state makes."""
    with open(file, "w") as lines:
        for i in range(arguments.prompts):
            ids = [(7 + 131 * (i * arguments.length + j) + 17 * j * j) % vocabulary for j in range(arguments.length)]
            lines.write(json.dumps({"tokens": ids, "seed": i}) + "\n")


def run(arguments, folder, file, parallel):
    """Seconds, and the texts by line."""
    command = [arguments.dsv4, "run", folder, "--prompts", file, "-n", arguments.new, "--ignore-eos", "--temperature", 1, "--parallel", parallel, "--threads",
               arguments.threads, "--weights", arguments.weights]
    bench.say(" ".join(map(str, command[1:])))
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    found = SUMMARY.search(done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"bench: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    texts = {line["index"]: line["tokens"] for line in map(json.loads, done.stdout.splitlines())}
    return float(found[3]), texts


def measure(arguments, folder, directory):
    file = Path(directory) / "prompts.jsonl"
    write_prompts(arguments, json.loads((folder / "config.json").read_text())["vocab_size"], file)
    seconds = {1: [], arguments.parallel: []}
    texts = {}
    for _ in range(arguments.repeats):
        for parallel, times in seconds.items():
            time, texts[parallel] = run(arguments, folder, file, parallel)
            times.append(time)
    one, many = (statistics.median(times) for times in seconds.values())
    new = arguments.prompts * arguments.new
    spread = ", ".join(f"{parallel}: {min(times):.3g} to {max(times):.3g} s" for parallel, times in seconds.items())
    print(f"| {folder.name} | {one:.3g} s, {new / one:.3g} | {many:.3g} s, {new / many:.3g} | {one / many:.2f} | {spread} |", flush=True)
    return texts[1] == texts[arguments.parallel]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--dsv4", default=bench.REPOSITORY / "build/release/dsv4")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", default="load")
    arguments = parser.parse_args()
    print(f"{bench.machine()}; {arguments.prompts} prompts of {arguments.length} tokens, {arguments.new} new ones each; medians of {arguments.repeats} in turn.\n")
    print(f"| folder | one after another, new tokens/s | {arguments.parallel} at once, new tokens/s | ratio | least to most |\n|---|---|---|---|---|", flush=True)
    same = True
    with tempfile.TemporaryDirectory() as directory:
        for folder in arguments.folders:
            same = measure(arguments, folder, directory) and same
    if not same:
        sys.exit("bench: the texts differ")


if __name__ == "__main__":
    main()
