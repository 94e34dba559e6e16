# Speed of decoding and compressing weights in memory: what a conversion does between reading and writing.
"""usage: quantize.py [--program PROGRAM] [--threads N] [--repeats N] [--megabytes N]

Prints Markdown. PROGRAM is bench_quantize (make bench builds it): random weights in rows of 4,096, outputs into a buffer that stays in the cache.
"""

import argparse
import json
import os

import bench

FORMATS = ("FP4", "FP8", "BF16")


def speed(row):
    return f"{row['wall']:.2f} / {row['processor']:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=bench.REPOSITORY / "build/release/bench_quantize")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=256)
    arguments = parser.parse_args()
    rows = json.loads(bench.run_measured(arguments.program, arguments.threads, arguments.repeats, arguments.megabytes).out)
    print(f"{bench.machine()}. GB of checkpoint bytes a second, medians of {arguments.repeats} passes over {arguments.megabytes} MB:"
          " by the clock / by processor time (the other users of a shared machine aside).\n")
    best = [row for row in rows if row["isa"] == "best"]
    targets = list(dict.fromkeys(row["to"] for row in best if row["from"] != "memory"))
    for threads in dict.fromkeys(row["threads"] for row in best):
        found = {(row["from"], row["to"]): row for row in best if row["threads"] == threads}
        print(bench.table(f"{threads} thread{'s' if threads > 1 else ''}; memory is read at {speed(found['memory', 'read'])} GB/s", ["", *FORMATS],
                          [[target, *(speed(found[source, target]) for source in FORMATS)] for target in targets]))
    sets = list(dict.fromkeys(row["isa"] for row in rows if row["isa"] != "best"))
    found = {(row["isa"], row["from"], row["to"]): row for row in rows}
    compared = list(dict.fromkeys(row["to"] for row in rows if row["isa"] != "best"))
    print(bench.table("Instruction sets, one thread, by processor time", ["", *(f"{source} to {target}" for source in FORMATS for target in compared)],
                      [[isa, *(f"{found[isa, source, target]['processor']:.2f}" for source in FORMATS for target in compared)] for isa in sets]))


if __name__ == "__main__":
    main()
