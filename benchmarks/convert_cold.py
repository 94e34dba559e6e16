# Speed and processor time of `dsv4 convert` from a checkpoint that the page cache does not hold, beside `cp` of the checkpoint and a write of the .bin's size.
"""usage: convert_cold.py [--dsv4 PROGRAM] [--dir DIRECTORY] [--checkpoint DIRECTORY | --config FILE] [--weight-formats F,F] [--repeats N]

Prints Markdown. Makes a synthetic checkpoint of the config (default: configs/v4-flash-slice.json, 6.1 GB; needs 20 GB of free disk with the copy and the model), or
takes one that is there. Everything written is removed. Exit code 1 if a median is below 0.8 of the copy's speed.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import bench
import memory_limit

TARGET = 0.8
SLICE = bench.REPOSITORY / "benchmarks/configs/v4-flash-slice.json"


class Spent:
    """Seconds of the clock and of the processor, user and system, until a program and what it wrote are done."""

    def __init__(self, words, written):
        words = [str(word) for word in words]
        bench.say(" ".join(words))
        start = time.perf_counter()
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        error = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"bench: {words[0]}: exit code {child.returncode}: {error[-500:]}")
        before = time.process_time()
        for file in written():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        self.seconds = time.perf_counter() - start
        self.user, self.system = usage.ru_utime, usage.ru_stime + time.process_time() - before


def files_of(directory):
    return sorted(file for file in Path(directory).iterdir() if file.is_file())


def measure(arguments, work, checkpoint, weight_format):
    """Cells of the format's row, and the ratio."""
    source, model, copy, zeros = bench.size_of(checkpoint), work / "model", work / "copy", work / "zeros"
    fallback = ["--group-size-fallback", "adjust"] if weight_format == "int4" else []
    convert, copies, writes, ratios = [], [], [], []
    for _ in range(arguments.repeats):
        memory_limit.drop_from_page_cache(files_of(checkpoint))
        copies.append(Spent(["cp", "-r", checkpoint, copy], lambda: files_of(copy)))
        shutil.rmtree(copy)
        memory_limit.drop_from_page_cache(files_of(checkpoint))
        convert.append(Spent([arguments.dsv4, "convert", "-m", checkpoint, model, "--weight-format", weight_format, *fallback], lambda: files_of(model)))
        made = (model / "openvino_model.bin").stat().st_size
        shutil.rmtree(model)
        writes.append(Spent(["dd", "if=/dev/zero", f"of={zeros}", "bs=4M", f"count={made}", "iflag=count_bytes", "status=none"], lambda: [zeros]))
        zeros.unlink()
        moved_by_copies = (2 * source + made) / (copies[-1].seconds + writes[-1].seconds)
        ratios.append((source + made) / convert[-1].seconds / moved_by_copies)
    ratio = statistics.median(ratios)

    def seconds(runs):
        values = [run.seconds for run in runs]
        return f"{statistics.median(values):.1f} s ({min(values):.1f} to {max(values):.1f})"

    def processor(runs, moved):
        return " + ".join(f"{statistics.median(getattr(run, part) for run in runs) / (moved / 1e9):.2f}" for part in ("user", "system"))

    return [weight_format, bench.size_text(source), bench.size_text(made), seconds(convert), seconds(copies), seconds(writes),
            f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})", processor(convert, source + made), processor(copies, 2 * source)], ratio


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsv4", default=bench.REPOSITORY / "build/release/dsv4")
    parser.add_argument("--dir", default=bench.REPOSITORY / "build/bench", help="on the disk that is to be measured")
    parser.add_argument("--checkpoint", type=Path, help="on the same disk")
    parser.add_argument("--config", type=Path, default=SLICE)
    parser.add_argument("--weight-formats", default="mxfp4,int4")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with bench.work_directory(arguments.dir) as directory:
        work = Path(directory)
        checkpoint = arguments.checkpoint or work / "checkpoint"
        if not arguments.checkpoint:
            bench.run_measured(arguments.dsv4, "synth", arguments.config, checkpoint)
        needed = 2.2 * bench.size_of(checkpoint)
        if bench.free_bytes(work) < needed:
            sys.exit(f"bench: {work} has {bench.free_bytes(work) / 1e9:.0f} GB free, the copy and the model take {needed / 1e9:.0f} GB")
        measured = [measure(arguments, work, checkpoint, name) for name in arguments.weight_formats.split(",")]
    print(bench.table(
        f"Synthetic weights, {bench.machine()}. In turn, {arguments.repeats} times; before each reading the checkpoint's pages left the page cache; what was written is "
        "on the disk (fsync). Medians (least to most). Ratio: bytes read and written a second, over those of cp and write together. Processor: seconds a GB read and "
        "written, user + system.",
        ["format", "checkpoint", ".bin", "convert", "cp of the checkpoint", "write of the .bin's size", f"ratio (target {TARGET})", "processor, convert", "processor, cp"],
        [cells for cells, _ in measured]))
    return int(any(ratio < TARGET for _, ratio in measured))


if __name__ == "__main__":
    sys.exit(main())
