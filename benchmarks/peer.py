# dsv4's CPU program beside llama.cpp and beside itself: every row of the tables in docs/benchmarks.md, runs in turn, medians, ratios, bytes, bandwidth.
"""usage: peer.py [--dsv4 PROGRAM] [--dir DIRECTORY] [--rows R,R] [--repeats N] [--threads N] [--jobs N] [--json FILE] [--only-prepare]

Prints Markdown. Installs llama.cpp into build/peer and makes the models, about 25 GB, below DIRECTORY (35 GB of free disk while it does), once; both stay for the next run.
Rows: int4, mxfp4 (decode and prefill at V4-Flash dimensions), toy (43 layers), context (64k against 1k), first-token, memory (half of the model), deep (43 layers at
V4-Flash dimensions; another 33 GB of free disk, or it is left out, and its files are deleted when it has been measured).
Exit code 1 if the model did not run below the memory limit; a target that is not reached is said to be.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import bench
import llama_cpp
import memory_limit
from peer_models import DEEP_DISK, DEEP_MEMORY, SLICE_FORMS, Models

PROMPT, NEW_TOKENS = 512, 32
TEXT = "1"  # a token
LONG, SHORT = 65536, 1024  # positions at which a token is decoded


class Comparison:
    """Runs, rows of the table and lines below it."""

    def __init__(self, arguments, models):
        self.arguments, self.models = arguments, models
        self.runs, self.rows, self.notes, self.failures = {}, [], [], []

    def in_turn(self, part, engines):
        """Every engine once, `repeats` times over: what disturbs the machine disturbs all of them."""
        runs = self.runs[part] = {name: [] for name in engines}
        for repeat in range(self.arguments.repeats):
            bench.say(f"{part}: {repeat + 1} of {self.arguments.repeats}")
            for name, measure in engines.items():
                runs[name].append(measure())
        return runs

    def dsv4(self, form, *options, model="slice", models=None, prompt=PROMPT, new_tokens=NEW_TOKENS, weights="load", repeats=3):
        """`dsv4 bench` in a process of its own; by default weights in anonymous memory, like llama-bench's."""
        words = [self.models.dsv4, "bench", (models or self.models).folder(model, form), "-p", prompt, "-n", new_tokens, "--repeats", repeats,
                 "--threads", self.arguments.threads, "--weights", weights, *options, "--json"]
        return flatten(json.loads(bench.run_measured(*words).out))

    def dsv4_run(self, form, *options, model="slice", prompt=("-p", TEXT, "--no-bos"), new_tokens=1):
        """`dsv4 run`, and the seconds of the whole process."""
        words = [self.models.dsv4, "run", self.models.folder(model, form), *prompt, "-n", new_tokens, "--ignore-eos", "--threads", self.arguments.threads,
                 *options, "--json"]
        measured = bench.run_measured(*words)
        return {**json.loads(measured.out), "process_seconds": measured.seconds}

    def llama(self, form, model="slice", prompt=PROMPT, new_tokens=NEW_TOKENS, threads=None, models=None):
        return llama_cpp.tokens_per_second((models or self.models).gguf(model, form), threads or self.arguments.threads, prompt, new_tokens, repeats=2)

    def row(self, what, ours, other, unit, ratio, target, enough, bandwidth=None, traffic=""):
        """`ours` and `other`: (name, values)."""
        reached = enough(ratio)
        self.rows.append({"what": what, "ours": ours, "other": other, "unit": unit, "ratio": ratio, "target": target, "reached": reached, "bandwidth": bandwidth,
                          "traffic": traffic})


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def values(runs, key, scale=1.0):
    return [run[key] * scale for run in runs]


def traffic(ours, ours_bytes, other=None, other_bytes=None):
    """Bytes a token and GB/s, of both."""
    text = f"{bench.size_text(ours_bytes)}, {ours_bytes * ours / 1e9:.1f} GB/s"
    return text + (f"; {bench.size_text(other_bytes)}, {other_bytes * other / 1e9:.1f} GB/s" if other_bytes else "")


def at_least(number):
    return f"at least {number:g}", lambda ratio: ratio >= number


def at_most(number):
    return f"at most {number:g}", lambda ratio: ratio <= number


def describe_bandwidth(comparison, part, runs):
    """The two yardsticks of `dsv4 bench`."""
    one, four = (statistics.median(run[key] for run in runs) for key in ("bandwidth_gb_per_second", "bandwidth_four_streams_gb_per_second"))
    comparison.notes.append(f"Memory reads, {part}: {one:.1f} GB/s with a linear stream a thread, {four:.1f} GB/s with four that lie far apart.")


def describe_bytes(comparison, engines):
    """What a token reads, by part."""
    for name, parts in engines.items():
        total = parts["total"]
        comparison.notes.append(f"Bytes a token, {name}: " + ", ".join(f"{part} {size / 1e6:.0f} MB" for part, size in parts.items() if part != "total")
                                + f"; {total / 1e9:.3f} GB.")


def compare_slice(comparison, part, forms, peer_form, peer_name, decode_targets):
    """Decode and prefill at V4-Flash dimensions: `forms` of ours in turn with one of llama.cpp's."""
    engines = {form: (lambda form=form: comparison.dsv4(form)) for form in forms}
    engines["llama.cpp"] = lambda: comparison.llama(peer_form)
    peer_bytes = llama_cpp.bytes_per_token(comparison.models.gguf("slice", peer_form))
    buffers = llama_cpp.buffers(comparison.models.gguf("slice", peer_form), comparison.arguments.threads)
    runs = comparison.in_turn(part, engines)
    peer = runs["llama.cpp"]
    peer_decode = median(peer, "decode")
    bandwidth = statistics.median(run["bandwidth_gb_per_second"] for form in forms for run in runs[form])
    for form in forms:
        ours = runs[form]
        decode, size = median(ours, "decode_tokens_per_second"), median(ours, "bytes_per_token_total")
        share = median(ours, "share_of_bandwidth")
        comparison.row(f"decode, {form}: share of the read bandwidth", (f"dsv4 {form}", values(ours, "read_gb_per_second")),
                       ("memory", values(ours, "bandwidth_gb_per_second")), "GB/s", share, *at_least(0.9), bandwidth, traffic(decode, size))
        comparison.row(f"decode, {form} against {peer_name}", (f"dsv4 {form}", values(ours, "decode_tokens_per_second")),
                       (f"llama.cpp {peer_name}", values(peer, "decode")), "tokens/s", decode / peer_decode, *at_least(decode_targets[form]), bandwidth,
                       traffic(decode, size, peer_decode, peer_bytes["total"]))
        prefill = median(ours, "prefill_tokens_per_second")
        comparison.row(f"prefill {PROMPT}, {form} against {peer_name}", (f"dsv4 {form}", values(ours, "prefill_tokens_per_second")),
                       (f"llama.cpp {peer_name}", values(peer, "prefill")), "tokens/s", prefill / median(peer, "prefill"), *at_least(2.5), bandwidth)
    describe_bandwidth(comparison, part, [run for form in forms for run in runs[form]])
    describe_bytes(comparison, {**{f"dsv4 {form}": runs[form][0]["bytes_per_token"] for form in forms}, f"llama.cpp {peer_name}": peer_bytes})
    comparison.notes.append(f"llama.cpp {peer_name}, weights by buffer: " + ", ".join(f"{name} {size:.0f} MB" for name, size in buffers.items()) + ".")


def compare_int4(comparison):
    compare_slice(comparison, "int4", ("int4", "int4-all"), "q4_0", "Q4_0", {"int4": 1.0, "int4-all": 1.15})


def compare_mxfp4(comparison):
    compare_slice(comparison, "mxfp4", ("mxfp4",), "mxfp4", "MXFP4", {"mxfp4": 1.6})


def compare_toy(comparison):
    """43 layers: the CPU program, the portable program, llama.cpp with as many threads and with one."""
    threads = comparison.arguments.threads
    ids = ("--tokens", "1,2,3,4,5,6,7,8")
    toy = {"model": "toy", "prompt": ids}
    runs = comparison.in_turn("toy", {
        "cpu": lambda: comparison.dsv4_run("int4", "--program", "cpu", new_tokens=256, **toy),
        "portable": lambda: comparison.dsv4_run("int4", "--program", "portable", new_tokens=64, **toy),
        "llama.cpp": lambda: comparison.llama("q4_0", "toy", 0, 256),
        "llama.cpp, 1 thread": lambda: comparison.llama("q4_0", "toy", 0, 256, threads=1),
        "yardstick": lambda: comparison.dsv4("int4", model="toy", prompt=8, new_tokens=64),
    })
    bandwidth = median(runs["yardstick"], "bandwidth_gb_per_second")
    ours = [1e3 / rate for rate in values(runs["cpu"], "decode_tokens_per_second")]
    own = statistics.median(ours)
    size = median(runs["yardstick"], "bytes_per_token_total")
    comparison.row("43 layers at toy dimensions, decode: ms", ("dsv4 int4", ours), None, "ms a token", own, *at_most(3), bandwidth, traffic(1e3 / own, size))
    portable = [1e3 / rate for rate in values(runs["portable"], "decode_tokens_per_second")]
    comparison.row("the same against its own portable program", ("dsv4 int4", ours), ("portable program", portable), "ms a token",
                   statistics.median(portable) / own, *at_least(10), bandwidth)
    name = min(("llama.cpp", "llama.cpp, 1 thread"), key=lambda name: -median(runs[name], "decode"))
    other = [1e3 / rate for rate in values(runs[name], "decode")]
    peer_bytes = llama_cpp.bytes_per_token(comparison.models.gguf("toy", "q4_0"))["total"]
    comparison.row("the same against llama.cpp", ("dsv4 int4", ours), (f"{name} (the faster of 1 and {threads} threads), Q4_0", other), "ms a token",
                   statistics.median(other) / own, *at_least(1.5), bandwidth, traffic(1e3 / own, size, 1e3 / statistics.median(other), peer_bytes))


def compare_context(comparison):
    """A token at position 65,536 and at 1,024, over caches of random rows."""
    runs = comparison.in_turn("context", {
        position: (lambda position=position: comparison.dsv4("int4", "--context", position, prompt=1)) for position in (SHORT, LONG)})
    short, long = (values(runs[position], "tpot_seconds", 1e3) for position in (SHORT, LONG))
    ratio = statistics.median(long) / statistics.median(short)
    cache = {position: runs[position][0]["bytes_per_token"]["cache"] for position in (SHORT, LONG)}
    comparison.row(f"decode at {LONG // 1024}k context against {SHORT // 1024}k, int4", (f"at {LONG // 1024}k", long), (f"at {SHORT // 1024}k", short), "ms a token", ratio,
                   *at_most(1.15), median(runs[LONG], "bandwidth_gb_per_second"),
                   f"of the cache {cache[LONG] / 1e6:.1f} MB; {cache[SHORT] / 1e6:.1f} MB")


def read_through(*files):
    """Into the page cache."""
    for file in files:
        subprocess.run(["dd", f"if={file}", "of=/dev/null", "bs=4M", "status=none"], check=True)


def compare_first_token(comparison):
    """Whole processes: open the mapped model, read the same text, give one token. Each run once before it counts: files that were read through are not in the page
    cache for certain."""
    threads = comparison.arguments.threads
    weights, gguf = comparison.models.folder("slice", "int4") / "openvino_model.bin", comparison.models.gguf("slice", "q4_0")

    def ours():
        read_through(weights)
        return [comparison.dsv4_run("int4", "--program", "cpu", "--weights", "map", "--context", 4096) for _ in range(2)][-1]

    def peer(repack):
        read_through(gguf)
        seconds, tokens = [llama_cpp.first_token_seconds(gguf, threads, TEXT, repack) for _ in range(2)][-1]
        return {"process_seconds": seconds, "prompt_tokens": tokens}

    runs = comparison.in_turn("first-token", {"dsv4": ours, "llama.cpp": lambda: peer(True), "llama.cpp, --no-repack": lambda: peer(False),
                                              "yardstick": lambda: comparison.dsv4("int4", prompt=1, new_tokens=4, repeats=1)})
    own, bandwidth = median(runs["dsv4"], "process_seconds"), median(runs["yardstick"], "bandwidth_gb_per_second")
    for name, target in (("llama.cpp", 0.1), ("llama.cpp, --no-repack", 0.1)):
        comparison.row(f"open to first token, int4 against {name.replace('llama.cpp', 'Q4_0')}", ("dsv4 int4", values(runs["dsv4"], "process_seconds")),
                       (name, values(runs[name], "process_seconds")), "s", own / median(runs[name], "process_seconds"), *at_most(target), bandwidth)
    comparison.notes.append(f"Open to first token: whole processes, the text \"{TEXT}\" ({runs['dsv4'][0]['prompt_tokens']} tokens for dsv4, "
                            f"{runs['llama.cpp'][0]['prompt_tokens']} for llama.cpp), files in the page cache. Of dsv4's time, opening: "
                            f"{median(runs['dsv4'], 'open_seconds'):.3f} s; the prompt: {median(runs['dsv4'], 'prefill_seconds'):.3f} s.")


def compare_memory(comparison):
    """The mapped model with half of its size as memory, page cache included, and without a limit."""
    weights = comparison.models.folder("slice", "int4") / "openvino_model.bin"
    limit = weights.stat().st_size // 2
    options = {"prompt": 16, "new_tokens": 16, "weights": "map", "repeats": 1}
    words = [comparison.models.dsv4, "bench", weights.parent, "-p", 16, "-n", 16, "--repeats", 1, "--threads", comparison.arguments.threads, "--weights", "map",
             "--json"]
    limited, unlimited, peaks = [], [], []
    try:
        for repeat in range(comparison.arguments.repeats):
            bench.say(f"memory: {repeat + 1} of {comparison.arguments.repeats}")
            read_through(weights)
            unlimited.append(comparison.dsv4("int4", **options))
            memory_limit.drop_from_page_cache([weights])
            with memory_limit.MemoryLimit(limit) as group:
                done, peak = group.run(words)
            if done.returncode != 0:
                comparison.failures.append(f"below a limit of {limit / 1e9:.2f} GB: exit code {done.returncode}: {done.stderr.strip()[-300:]}")
                return
            limited.append(flatten(json.loads(done.stdout)))
            peaks.append(peak)
    except memory_limit.NotPossible as error:
        comparison.notes.append(f"Memory limit: left out: {error}.")
        return
    comparison.runs["memory"] = {"limited": limited, "unlimited": unlimited}
    ratio = median(limited, "decode_tokens_per_second") / median(unlimited, "decode_tokens_per_second")
    shares = {name: median(runs, "disk_share") for name, runs in comparison.runs["memory"].items()}
    comparison.row(f"memory limit of half the model ({limit / 1e9:.2f} GB), decode", ("limited", values(limited, "decode_tokens_per_second")),
                   ("unlimited", values(unlimited, "decode_tokens_per_second")), "tokens/s", ratio, "runs, disk share reported", lambda ratio: True,
                   median(unlimited, "bandwidth_gb_per_second"), f"from disk {shares['limited']:.0%}; {shares['unlimited']:.0%}")
    held = max((peak for peak in peaks if peak), default=0)
    comparison.notes.append(f"Memory limit: control group version {group.version}, {limit / 1e9:.2f} GB for a model of {2 * limit / 1e9:.2f} GB; the group held "
                            f"{held / 1e9:.2f} GB at the most; {len(limited)} of {len(limited)} runs ended well.")


def compare_deep(comparison):
    """Decoding at full depth, with the bytes a token of the real model. Its files are there for this row only."""
    directory = comparison.models.directory
    for what, free, needed in (("disk", bench.free_bytes(directory), DEEP_DISK), ("memory", bench.available_memory(), DEEP_MEMORY)):
        if free < needed:
            comparison.notes.append(f"Full depth: left out: it needs {needed / 1e9:.0f} GB of {what}, and {free / 1e9:.0f} GB are free.")
            return
    with comparison.models.deep({"int4": SLICE_FORMS["int4"]}) as models:
        deep = {"model": "deep", "models": models, "prompt": 32, "new_tokens": 16}
        runs = comparison.in_turn("deep", {"dsv4": lambda: comparison.dsv4("int4", repeats=1, **deep), "llama.cpp": lambda: comparison.llama("q4_0", **deep)})
        peer_bytes = llama_cpp.bytes_per_token(models.gguf("deep", "q4_0"))
    ours, peer = runs["dsv4"], runs["llama.cpp"]
    decode, peer_decode, size = median(ours, "decode_tokens_per_second"), median(peer, "decode"), median(ours, "bytes_per_token_total")
    bandwidth = median(ours, "bandwidth_gb_per_second")
    comparison.row("decode, 43 layers, int4: share of the read bandwidth", ("dsv4 int4", values(ours, "read_gb_per_second")),
                   ("memory", values(ours, "bandwidth_gb_per_second")), "GB/s", median(ours, "share_of_bandwidth"), *at_least(0.93), bandwidth, traffic(decode, size))
    comparison.row("decode, 43 layers, int4 against Q4_0", ("dsv4 int4", values(ours, "decode_tokens_per_second")), ("llama.cpp Q4_0", values(peer, "decode")),
                   "tokens/s", decode / peer_decode, *at_least(1.6), bandwidth, traffic(decode, size, peer_decode, peer_bytes["total"]))
    describe_bandwidth(comparison, "deep", ours)
    describe_bytes(comparison, {"dsv4 int4, 43 layers": ours[0]["bytes_per_token"], "llama.cpp Q4_0, 43 layers": peer_bytes})


PARTS = {"int4": compare_int4, "mxfp4": compare_mxfp4, "toy": compare_toy, "context": compare_context, "first-token": compare_first_token, "memory": compare_memory,
         "deep": compare_deep}


def flatten(result):
    if "bytes_per_token" in result:
        result["bytes_per_token_total"] = result["bytes_per_token"]["total"]
    return result


def cell(side, unit):
    """name: median (least to most)"""
    if side is None:
        return ""
    name, found = side
    digits = 1 if statistics.median(found) >= 10 else 2
    return f"{name}: {statistics.median(found):.{digits}f} ({min(found):.{digits}f} to {max(found):.{digits}f}) {unit}"


def markdown(comparison):
    rows = []
    for row in comparison.rows:
        rows.append([row["what"], cell(row["ours"], row["unit"]), cell(row["other"], row["unit"]), f"{row['ratio']:.2f}", row["target"],
                     "yes" if row["reached"] else "no", row["traffic"], f"{row['bandwidth']:.1f} GB/s" if row["bandwidth"] else ""])
    arguments = comparison.arguments
    title = (f"Synthetic weights. {bench.machine()}; {arguments.threads} threads; {arguments.repeats} runs of each engine in turn: median (least to most). "
             f"llama.cpp: {llama_cpp.description()}.")
    return bench.table(title, ["row", "dsv4", "against", "ratio", "target", "reached", "bytes a token: dsv4; other", "memory reads"], rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsv4", default=bench.REPOSITORY / "build/release/dsv4")
    parser.add_argument("--dir", default=llama_cpp.HOME / "models")
    parser.add_argument("--rows", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each engine, in turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2, help="compiler jobs")
    parser.add_argument("--json", help="every run, to this file")
    parser.add_argument("--only-prepare", action="store_true", help="install and make the models, measure nothing")
    arguments = parser.parse_args()
    parts = arguments.rows.split(",")
    if not set(parts) <= set(PARTS) or arguments.repeats < 1:
        parser.error("see the usage at the head of the file")

    llama_cpp.install(arguments.jobs)
    models = Models(arguments.dir, arguments.dsv4, arguments.threads)
    if parts != ["deep"]:
        models.make()
    if arguments.only_prepare:
        return 0
    comparison = Comparison(arguments, models)
    start = time.perf_counter()
    for part in parts:
        PARTS[part](comparison)
    comparison.notes.append(f"Measured in {(time.perf_counter() - start) / 60:.0f} minutes.")
    print(markdown(comparison))
    print("\n".join(f"- {note}" for note in comparison.notes + [f"FAILED: {failure}" for failure in comparison.failures]))
    if arguments.json:
        document = {"machine": bench.machine(), "llama_cpp": llama_cpp.description(), "rows": comparison.rows, "notes": comparison.notes,
                    "failures": comparison.failures, "runs": comparison.runs}
        Path(arguments.json).write_text(json.dumps(document, indent=1) + "\n")
    return 1 if comparison.failures else 0


if __name__ == "__main__":
    sys.exit(main())
