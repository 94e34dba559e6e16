# Memory and speed of `dsv4 synth` and `dsv4 convert` in every format, at V4-Flash dimensions and at toy dimensions, beside a plain copy on the same disk.
"""usage: convert_memory.py [--dsv4 PROGRAM] [--dir DIRECTORY] [--preset v4-flash|toy] [--layers N,N] [--weight-formats F,F] [--repeats N]

Prints Markdown. Four layers of V4-Flash in INT8 need about 52 GB of free disk; what does not fit is left out and said to be. Everything written is removed.
Exit code 1 if a peak is over its limit, synth 1 GB, convert 1.5 GB, or grows with the layers by more than the graph of a layer takes.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import bench

SYNTH_LIMIT = 1e9
CONVERT_LIMIT = 1.5e9
GROWTH_LIMIT = 1.2  # of the peak from the fewest layers to the most, beside the graph itself:
GRAPH_LAYER = 5e6   # bytes a layer's nodes and XML may take
COPY_BYTES = 4 * 2**30
# V4-Flash: bytes of a checkpoint's layer and of what lies outside the layers, and parameters of the same.
FLASH_LAYER = (3.8e9, 6.7e9)
FLASH_REST = (2.2e9, 1.1e9)
PARAMETER_BYTES = {"fp32": 4, "fp16": 2, "int8": 1.02, "int4": 0.55, "mxfp4": 0.57}
FORMATS = tuple(PARAMETER_BYTES)


def needed_bytes(preset, layers, weight_format):
    """Checkpoint, model folder and the copy."""
    if preset != "v4-flash":
        return 4e9
    stored = layers * FLASH_LAYER[0] + FLASH_REST[0]
    parameters = layers * FLASH_LAYER[1] + FLASH_REST[1]
    return 1.05 * (stored + parameters * PARAMETER_BYTES[weight_format]) + COPY_BYTES


def copy_speed(source_directory, work):
    """GB/s of dd with fsync over the largest file of a checkpoint, at most 4 GiB of it; the source is as warm in the page cache as it happens to be."""
    source = max(Path(source_directory).glob("*.safetensors"), key=lambda file: file.stat().st_size)
    target = work / "copy"
    start = time.perf_counter()
    subprocess.run(["dd", f"if={source}", f"of={target}", "bs=4M", f"count={COPY_BYTES // 2**22}", "conv=fsync", "status=none"], check=True)
    speed = target.stat().st_size / 1e9 / (time.perf_counter() - start)
    target.unlink()
    return speed


def open_ir(folder):
    """core.read_model in a process of its own: seconds, peak RSS in bytes."""
    program = """
import sys, time
import openvino
start = time.perf_counter()
model = openvino.Core().read_model(sys.argv[1])
print(time.perf_counter() - start)
"""
    measured = bench.run_measured(sys.executable, "-c", program, folder / "openvino_model.xml", shown=f"read_model {folder}")
    return float(measured.out), measured.peak_bytes


def median_of(runs, value):
    return statistics.median(value(run) for run in runs)


def measure_format(arguments, work, checkpoint, weight_format):
    """Converts in turn with the copy, `repeats` times. Cells of a row, and the largest peak."""
    folder, stored, runs, copies = work / "model", bench.size_of(checkpoint), [], []
    fallback = ["--group-size-fallback", "adjust"] if weight_format == "int4" else []
    for repeat in range(arguments.repeats):
        if stored >= 1e9:
            copies.append(copy_speed(checkpoint, work))
        if repeat > 0:
            shutil.rmtree(folder)
        runs.append(bench.run_measured(arguments.dsv4, "convert", "-m", checkpoint, folder, "--weight-format", weight_format, *fallback))
    written = bench.size_of(folder)
    seconds, peak = open_ir(folder)
    shutil.rmtree(folder)
    median = median_of(runs, lambda run: run.seconds)
    largest = max(run.peak_bytes for run in runs)
    speeds = ["", "", ""]
    if copies:  # below a gigabyte the start of the program is most of the time, and a rate would say nothing
        copy = statistics.median(copies)
        speeds = [f"{stored / 1e9 / median:.2f} and {written / 1e9 / median:.2f} GB/s", f"{copy:.2f} GB/s ({min(copies):.2f} to {max(copies):.2f})",
                  f"{(stored + written) / 1e9 / median / (2 * copy):.2f}"]
    return [weight_format, bench.size_text(stored), bench.size_text(written), f"{largest / 1e6:.0f} MB", f"{median:.1f} s", *speeds,
            f"{seconds:.2f} s, {peak / 1e6:.0f} MB"], largest


def complaints(what, layers, peaks, limit):
    """What of one series of peaks, of so many layers each, is over a limit."""
    found = []
    if max(peaks) > limit:
        found.append(f"{what} took {max(peaks) / 1e6:.0f} MB; at most {limit / 1e6:.0f} MB")
    if peaks[-1] > GROWTH_LIMIT * peaks[0] + GRAPH_LAYER * (layers[-1] - layers[0]):
        found.append(f"{what} grew with the layers, from {peaks[0] / 1e6:.0f} MB to {peaks[-1] / 1e6:.0f} MB")
    return found


def measure_model(arguments, work, what, layers, source_of, rows, notes):
    """Every count of layers in every format. Returns what is over a limit."""
    synth_peaks, convert_peaks = [], {name: ([], []) for name in arguments.weight_formats}
    for count in layers:
        preset, options = source_of(count)
        checkpoint = work / "checkpoint"
        formats = [name for name in arguments.weight_formats if bench.free_bytes(work) >= needed_bytes(preset, count, name)]
        for name in arguments.weight_formats:
            if name not in formats:
                notes.append(f"{what}, {count} layers, {name}: not measured, it needs {needed_bytes(preset, count, name) / 1e9:.0f} GB of free disk.")
        if not formats:
            continue
        synth = bench.run_measured(arguments.dsv4, "synth", preset, checkpoint, *options)
        synth_peaks.append(synth.peak_bytes)
        for name in formats:
            cells, peak = measure_format(arguments, work, checkpoint, name)
            rows.append([what, count, *cells])
            convert_peaks[name][0].append(count)
            convert_peaks[name][1].append(peak)
        shutil.rmtree(checkpoint)
    found = complaints(f"{what}: synth", layers, synth_peaks, SYNTH_LIMIT) if synth_peaks else []
    for name, (counts, peaks) in convert_peaks.items():
        if peaks:
            found += complaints(f"{what}: convert to {name}", counts, peaks, CONVERT_LIMIT)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsv4", default=bench.REPOSITORY / "build/release/dsv4")
    parser.add_argument("--dir", default=bench.REPOSITORY / "build/bench", help="on the disk that is to be measured")
    parser.add_argument("--preset", choices=("v4-flash", "toy"), default="v4-flash", help="toy leaves the large part out")
    parser.add_argument("--layers", default="2,4", help="of V4-Flash, ascending")
    parser.add_argument("--weight-formats", default="int4,int8,mxfp4", help=f"of {', '.join(FORMATS)}")
    parser.add_argument("--repeats", type=int, default=3, help="conversions of each kind, in turn with the copy")
    arguments = parser.parse_args()
    arguments.weight_formats = arguments.weight_formats.split(",")
    layers = [int(count) for count in arguments.layers.split(",")]
    if not set(arguments.weight_formats) <= set(FORMATS) or min(layers) < 1 or layers != sorted(layers) or arguments.repeats < 1:
        parser.error("see the usage at the head of the file")

    rows, failures, notes = [], [], []
    with bench.work_directory(arguments.dir) as directory:
        work = Path(directory)
        failures += measure_model(arguments, work, "toy dimensions", [4, 43], lambda count: (bench.deep_toy(work, count), ()), rows, notes)
        if arguments.preset == "v4-flash":
            failures += measure_model(arguments, work, "V4-Flash dimensions", layers, lambda count: ("v4-flash", ("--layers", count)), rows, notes)

    print(bench.table(
        f"Synthetic checkpoints (random weights) in the published format. {bench.machine()}. Peaks are of the resident set, mapped pages included, the largest of "
        f"{arguments.repeats} conversions; times are medians, fsync of the .bin included. Copy: dd with fsync of up to 4 GiB on the same disk, before each conversion, median "
        "(least to most). Ratio: bytes read and written a second, over those of the copy. Sources were as much in the page cache as they happened to be.",
        ["weights", "layers", "format", "checkpoint", "model folder", "convert, peak RSS", "time", "read and written", "copy", "ratio", "read_model: time, peak RSS of Python"],
        rows))
    for line in notes:
        print(line + "\n")
    for line in failures:
        bench.say("FAILED: " + line)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
