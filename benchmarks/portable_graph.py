# The portable program on the CPU: nodes, time to load, time a decoded token and memory over 2,000 tokens, for the toy and for 43 layers of its size.
"""usage: portable_graph.py [--dsv4 PROGRAM] [--dir DIRECTORY] [--tokens N] [--rounds N]

Prints Markdown. Every figure comes from a process of its own; the variants take turns, so that a slow minute of the machine meets all of them.
Exit code 1 if the memory grows by more than a fifth between 100 tokens and the last.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import bench

THREADS = (1, 2)
WARM_UP = 30
MEASURED = 200
RSS_EARLY = 100
RSS_LIMIT = 1.2


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def decode(folder, threads, tokens):
    """One process's figures, as JSON on standard output."""
    import numpy as np
    import openvino as ov

    vocabulary = json.loads((Path(folder) / "config.json").read_text())["vocab_size"]
    properties = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    start = time.perf_counter()
    core = ov.Core()
    compiled = core.compile_model(core.read_model(str(Path(folder) / "openvino_model.xml")), "CPU", properties)
    load = time.perf_counter() - start
    kinds = [node.get_rt_info()["layerType"].astype(str) for node in compiled.get_runtime_model().get_ops()]

    request = compiled.create_infer_request()
    ids = np.random.default_rng(0).integers(0, vocabulary, (tokens, 1, 1))
    seconds, rss = [], {}
    for position in range(tokens):
        inputs = {"input_ids": ids[position], "attention_mask": np.ones((1, position + 1), np.int64),
                  "position_ids": np.array([[position]], np.int64), "beam_idx": np.zeros(1, np.int32)}
        start = time.perf_counter()
        request.infer(inputs)
        seconds.append(time.perf_counter() - start)
        if position + 1 in (RSS_EARLY, tokens):
            rss[position + 1] = resident()
    print(json.dumps({"version": ov.get_version(), "nodes": sum(kind != "Const" for kind in kinds), "load": load,
                      "token": statistics.median(seconds[WARM_UP:WARM_UP + MEASURED]), "token_late": statistics.median(seconds[-MEASURED:]),
                      "rss": [rss.get(RSS_EARLY), rss[tokens]]}))


def measure(folder, threads, tokens):
    return json.loads(bench.run_measured(sys.executable, __file__, "--child", folder, threads, tokens).out)


def spread(values, factor=1.0, digits=1):
    """Median, and the range over the rounds."""
    ordered = sorted(value * factor for value in values)
    return f"{statistics.median(ordered):.{digits}f} ({ordered[0]:.{digits}f} to {ordered[-1]:.{digits}f})"


def main():
    if sys.argv[1:2] == ["--child"]:
        decode(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsv4", default=bench.REPOSITORY / "build/release/dsv4")
    parser.add_argument("--dir", default=bench.REPOSITORY / "build/bench")
    parser.add_argument("--tokens", type=int, default=2000, help="decoded tokens of the memory measurement")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.tokens < WARM_UP + MEASURED:
        parser.error(f"--tokens: at least {WARM_UP + MEASURED}")

    with bench.work_directory(arguments.dir) as directory:
        work = Path(directory)
        bench.run_measured(arguments.dsv4, "synth", bench.deep_toy(work, 43), work / "deep")
        models = {"toy, 4 layers": bench.TOY, "toy dimensions, 43 layers": work / "deep"}
        folders = {}
        for index, (name, checkpoint) in enumerate(models.items()):
            folders[name] = work / f"model-{index}"
            bench.run_measured(arguments.dsv4, "convert", "-m", checkpoint, folders[name])

        rounds = {(name, threads): [] for name in folders for threads in THREADS}
        bandwidth = {threads: [] for threads in THREADS}
        for _ in range(arguments.rounds):
            for threads in THREADS:
                bandwidth[threads].append(bench.copy_bandwidth(threads))
                for name, folder in folders.items():
                    rounds[name, threads].append(measure(folder, threads, WARM_UP + MEASURED))
        long = {name: measure(folder, THREADS[-1], arguments.tokens) for name, folder in folders.items()}

        rows = []
        for name, folder in folders.items():
            weights = (folder / "openvino_model.bin").stat().st_size
            first = rounds[name, 1][0]
            row = [name, f"{weights / 1e6:.1f} MB", first["nodes"], spread([r["load"] for r in rounds[name, THREADS[-1]]])]
            row += [spread([r["token"] for r in rounds[name, threads]], 1e3, 2) for threads in THREADS]
            rows.append(row)

    print(bench.table(
        f"Random weights, float32, one sequence, one token a call. {bench.machine()}, OpenVINO {first['version']}. Median (least to most) of "
        f"{arguments.rounds} rounds in turn; a round's ms a token is the median of {MEASURED} tokens after {WARM_UP}.",
        ["model", ".bin", "runtime nodes without constants", "read and compile, s"]
        + [f"ms a token, {threads} thread{'s' if threads > 1 else ''}" for threads in THREADS], rows))
    print("Yardstick of the same run, memory copied with numpy (read plus written): "
          + ", ".join(f"{spread(bandwidth[threads])} GB/s with {threads} thread{'s' if threads > 1 else ''}" for threads in THREADS) + ".\n")

    rows, failed = [], False
    for name, figures in long.items():
        early, late = figures["rss"]
        failed |= late / early > RSS_LIMIT
        rows.append([name, f"{early / 1e6:.0f} MB", f"{late / 1e6:.0f} MB", f"{late / early:.3f}", f"{figures['token'] * 1e3:.2f}", f"{figures['token_late'] * 1e3:.2f}"])
    print(bench.table(
        f"Memory over {arguments.tokens} decoded tokens, {THREADS[-1]} threads, the whole Python process. It must not grow by more than {RSS_LIMIT - 1:.0%}.",
        ["model", f"RSS at token {RSS_EARLY}", f"RSS at token {arguments.tokens}", "ratio", "ms a token, early", f"ms a token, last {MEASURED}"], rows))
    if failed:
        bench.say(f"FAILED: memory grew by more than {RSS_LIMIT - 1:.0%}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
