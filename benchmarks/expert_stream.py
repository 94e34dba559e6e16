# `--weights stream` beside the mapped file, both below the same memory limit: decode, the drive's share, processor time, hits, peaks, a prompt, and a model that fits.
"""usage: expert_stream.py [--dsv4 PROGRAM] [--dir DIRECTORY] [--folder FOLDER ...] [--shares 50,25] [--cache GB] [--tokens N] [--repeats N] [--threads N] [--gguf FILE]

Prints Markdown. Without --folder it makes models of configs/v4-flash-slice.json (64 experts) and v4-flash-slice-128.json in MXFP4, one after the other, removed at the end
(25 GB of free disk). A limit is a share of the .bin, page cache included, by a control group of its own (needs root); every run begins with a cold page cache.
--gguf: llama.cpp's file of the same weights; with the tools of `make bench-peer` it runs below the same limits.
Exit code 1 if a row of the first folder misses its target; rows without one are printed only.
"""

import argparse
import json
import resource
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import bench
import expert_cache_simulator
import llama_cpp
import memory_limit

CONFIGS = ("v4-flash-slice", "v4-flash-slice-128")
PROMPT = 16       # tokens before those that are timed
SHORT = 8         # tokens of the run that is taken off a longer one: what is left is decoding alone
CHUNK = 2048      # tokens that a prompt is computed in while experts stream
ROOM = 0.55e9     # of a limit, beside the weights: what the program keeps free for itself, a short sequence and a short prompt
WARM = 5          # repeats in one process, whose median is of a cache that is full
CONTEXT = 256     # tokens: what a run needs, so that little memory is kept for a longer prompt
SAMPLED = ("--temperature", 5, "--seed", 3)  # synthetic weights say the same token again and again otherwise


def prompt_ids(count):
    return ",".join(str(7 + 131 * i % 4096) for i in range(count))


class Refused(Exception):
    """The program's line: the limit is too small for it."""


class Model:
    """A folder, its limits, and the runs on it."""

    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, Path(folder)
        self.weights = self.folder / "openvino_model.bin"
        self.bytes = self.weights.stat().st_size
        config = json.loads((self.folder / "config.json").read_text())
        self.layers, self.experts, self.a_token = config["num_hidden_layers"], config["n_routed_experts"], config["num_experts_per_tok"]
        self.expert = 3 * config["hidden_size"] * config["moe_intermediate_size"] * (0.5 + 1 / 32)  # bytes, MXFP4

    def cache_bytes(self, limit):
        """What a limit leaves for experts; nothing where that is less than two tokens take."""
        if self.arguments.cache:
            return self.arguments.cache * 1e9
        left = limit - (self.bytes - self.layers * self.experts * self.expert) - ROOM
        return left if left > 2.01 * self.layers * self.a_token * self.expert else None

    def command(self, what, weights, limit, *options):
        cache = ("--expert-cache", f"{self.cache_bytes(limit) / 1e9:.3f}", "--context", CONTEXT) if weights == "stream" and limit else ()
        return [self.arguments.dsv4, what, self.folder, "--weights", weights, "--threads", self.arguments.threads, *cache, *options, "--json"]

    def run(self, words, limit=None):
        """The JSON of a command that begins cold, with its processor seconds in the kernel and the group's peak."""
        memory_limit.drop_from_page_cache([self.weights])
        bench.say(" ".join(map(str, words[1:])) + (f", limit {limit / 1e9:.2f} GB" if limit else ""))
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_stime
        with memory_limit.MemoryLimit(limit or 1 << 50) as group:
            done, peak = group.run(words)
        if done.returncode == 1 and "expert cache" in done.stderr:
            raise Refused(done.stderr.strip().splitlines()[-1])
        if done.returncode != 0:
            sys.exit(f"bench: {' '.join(map(str, words))}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
        return {**json.loads(done.stdout), "system": resource.getrusage(resource.RUSAGE_CHILDREN).ru_stime - before, "peak": peak}

    def bench(self, weights, limit=None, repeats=1):
        return self.run(self.command("bench", weights, limit, "-p", PROMPT, "-n", self.arguments.tokens, "--repeats", repeats), limit)

    def decode(self, weights, tokens, limit, *options, prompt=PROMPT):
        return self.run(self.command("run", weights, limit, "--tokens", prompt_ids(prompt), "-n", tokens, "--ignore-eos", *SAMPLED, *options), limit)

    def system_a_gigabyte(self, weights, limit):
        """Kernel seconds of decoding over the gigabytes that it read: of two runs that differ in their tokens only."""
        short, long = (self.decode(weights, tokens, limit) for tokens in (SHORT, SHORT + self.arguments.tokens))
        gigabytes = (long["disk_bytes_read"] - short["disk_bytes_read"]) / 1e9
        return (long["system"] - short["system"]) / gigabytes if gigabytes > 0 else 0.0


def text(values, unit="", digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f}){unit}"


class Rows:
    def __init__(self):
        self.rows, self.missed = [], []

    def add(self, model, what, values, target=None, enough=None, note=""):
        median = statistics.median(values)
        verdict = "" if enough is None else "yes" if enough(median) else "no"
        if verdict == "no":
            self.missed.append(f"{model}: {what}: {median:.3f}, target {target}")
        self.rows.append([model, what, text(values, digits=3), target or "", verdict, note])


def compare_below_limit(model, name, share, rows, judged):
    """The cache and the map below a share of the model, in turn."""
    limit = model.bytes * share // 100
    cached, mapped, loaded, peer = [], [], [], []
    for _ in range(model.arguments.repeats):
        cached.append(model.bench("stream", limit))
        mapped.append(model.bench("map", limit))
        loaded.append(model.bench("load"))
        if model.arguments.gguf and llama_cpp.tool("llama-bench").exists():
            peer.append(llama_below(model, limit))
    pairs = list(zip(cached, mapped, loaded))
    rate = "decode_tokens_per_second"
    half = judged and share == 50

    def target(words, enough):
        return (words, enough) if half else (None, None)

    rows.add(name, f"decode at {share} %: cache / map", [c[rate] / m[rate] for c, m, _ in pairs], *target("at least 2.0", lambda x: x >= 2.0),
             f"{text([c[rate] for c in cached])} and {text([m[rate] for m in mapped])} tokens/s; in memory {text([x[rate] for x in loaded])}")
    experts = [c["experts"] for c in cached]
    rows.add(name, f"{share} %: bytes missed / time waited, over the drive's best", [e["gb_per_second_waiting"] / e["drive_gb_per_second"] for e in experts],
             *target("at least 0.8", lambda x: x >= 0.8),
             f"drive {text([e['drive_gb_per_second'] for e in experts])} GB/s, hits {text([100 * e['hit_share'] for e in experts], ' %', 1)}, "
             f"waited {text([100 * e['share_of_time_waited'] for e in experts], ' %', 1)} of the time; memory {text([c['bandwidth_gb_per_second'] for c in cached])} GB/s")
    rows.add(name, f"{share} %: token time / (in memory + bytes missed / drive's best)",
             [1 / c[rate] / (1 / m[rate] + c["experts"]["bytes_per_token"] / 1e9 / c["experts"]["drive_gb_per_second"]) for c, _, m in pairs],
             *target("at most 1.15", lambda x: x <= 1.15))
    rows.add(name, f"{share} %: peak of the group / limit", [c["peak"] / limit for c in cached if c["peak"]] or [0.0], *target("at most 1.0", lambda x: x <= 1.0))
    if half:
        for weights, words, enough in (("stream", "at most 0.10", lambda x: x <= 0.10), ("map", None, None)):
            rows.add(name, f"{share} %: kernel seconds a GB read, {weights}", [model.system_a_gigabyte(weights, limit) for _ in range(model.arguments.repeats)],
                     words, enough)
    if peer:
        rows.add(name, f"decode at {share} %: llama.cpp, mapped, tokens/s", peer)


def llama_below(model, limit):
    gguf = Path(model.arguments.gguf)
    memory_limit.drop_from_page_cache([gguf])
    words = [llama_cpp.tool("llama-bench"), "-m", gguf, "-t", model.arguments.threads, "-lm", "mmap", "-p", 0, "-n", model.arguments.tokens, "-r", 1, "-o", "json"]
    with memory_limit.MemoryLimit(limit) as group:
        done, _ = group.run(words)
    if done.returncode != 0:
        sys.exit(f"bench: llama-bench: exit code {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout)[-1]["avg_ts"]


def compare_hits(model, name, share, rows, judged):
    """The run's own trace, replayed."""
    with tempfile.TemporaryDirectory() as directory:
        trace = Path(directory) / "trace"
        done = model.decode("stream", 4 * model.arguments.tokens, model.bytes * share // 100, "--routes", trace)
        tokens = expert_cache_simulator.read_trace(trace)
    slots = round(done["experts"]["resident_share"] * model.experts * model.layers)
    hits = expert_cache_simulator.simulate(tokens, PROMPT, slots)
    distance = 100 * (done["experts"]["hit_share"] - hits["frequency"])
    rows.add(name, f"{share} %: hits less those of the simulator, points", [distance], "within 1" if judged else None, (lambda x: abs(x) <= 1) if judged else None,
             f"{100 * done['experts']['hit_share']:.1f} % with {slots} slots; simulated {', '.join(f'{what} {100 * hit:.1f} %' for what, hit in hits.items())}")


def compare_prompt(model, name, share, rows, judged):
    """A prompt of one chunk by an engine that holds nothing yet: every expert once. Only the cache is limited: the prompt itself needs room."""
    size = model.layers * model.experts * model.expert * share / 100
    done = model.decode("stream", 1, None, "--expert-cache", f"{size / 1e9:.3f}", prompt=CHUNK)
    experts = done["experts"]
    everything = experts["cache_bytes"] / experts["resident_share"]
    rows.add(name, f"{share} %: a prompt of {CHUNK} tokens: bytes read / bytes of experts not resident", [experts["prompt_bytes_read"] / everything],
             "at most 1.02" if judged else None, (lambda x: x <= 1.02) if judged else None, f"{experts['prompt_bytes_read'] / 1e9:.2f} GB")


def compare_fitting(model, name, rows, judged):
    mapped, cached = [], []
    for _ in range(model.arguments.repeats):
        mapped.append(model.bench("map", repeats=WARM)["decode_tokens_per_second"])
        cached.append(model.bench("stream", repeats=WARM)["decode_tokens_per_second"])
    rows.add(name, "a model that fits: stream / map", [c / m for c, m in zip(cached, mapped)], "at least 0.97" if judged else None,
             (lambda x: x >= 0.97) if judged else None, f"{text(cached)} and {text(mapped)} tokens/s")


def measure(arguments, folder, name, rows, judged):
    model = Model(arguments, folder)
    for share in arguments.shares:
        if model.cache_bytes(model.bytes * share // 100) is None:
            bench.say(f"{name}: {share} % of the model is too little for its dense weights and the experts of two tokens: left out")
            continue
        try:
            compare_below_limit(model, name, share, rows, judged)
            compare_hits(model, name, share, rows, judged)
        except Refused as refusal:
            bench.say(f"{name}: {share} %: left out: {refusal}")
    compare_prompt(model, name, arguments.shares[0], rows, judged)
    compare_fitting(model, name, rows, judged)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsv4", default=bench.REPOSITORY / "build/release/dsv4")
    parser.add_argument("--dir", default=bench.REPOSITORY / "build/bench")
    parser.add_argument("--folder", action="append", help="a model folder that is there")
    parser.add_argument("--shares", type=lambda words: [int(word) for word in words.split(",")], default=[50, 25])
    parser.add_argument("--cache", type=float, help="GB of the cache; by default what the limit leaves")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gguf")
    arguments = parser.parse_args()
    rows = Rows()
    try:
        if arguments.folder:
            for number, folder in enumerate(arguments.folder):
                measure(arguments, folder, Path(folder).name, rows, number == 0)
        else:
            for number, config in enumerate(CONFIGS):
                with bench.work_directory(arguments.dir) as directory:
                    checkpoint, folder = Path(directory) / "checkpoint", Path(directory) / "model"
                    bench.run_measured(arguments.dsv4, "synth", bench.REPOSITORY / f"benchmarks/configs/{config}.json", checkpoint)
                    bench.run_measured(arguments.dsv4, "convert", "-m", checkpoint, folder, "--weight-format", "mxfp4")
                    shutil.rmtree(checkpoint)
                    measure(arguments, folder, config, rows, number == 0)
    except memory_limit.NotPossible as error:
        sys.exit(f"bench: {error}")
    print(bench.table(
        f"Synthetic weights, so that every expert is about as likely as another. {bench.machine()}; {arguments.threads} threads; {arguments.repeats} runs in turn: median "
        "(least to most).", ["model", "row", "measured", "target", "reached", ""], rows.rows))
    for line in rows.missed:
        print(f"- missed: {line}")
    return 1 if rows.missed else 0


if __name__ == "__main__":
    sys.exit(main())
