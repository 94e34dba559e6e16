# Memory and speed of `dsv4 synth` and `dsv4 convert`, at V4-Flash dimensions and at toy dimensions, beside a plain copy on the same disk.
"""usage: convert_memory.py [--dsv4 PROGRAM] [--dir DIRECTORY] [--preset v4-flash|toy] [--layers N] [--weight-format fp16|fp32]

Prints Markdown. Needs about 50 GB of free disk for two layers of V4-Flash; without them that part is left out and said to be. Everything written is removed.
Exit code 1 if a peak is over its limit, synth 1 GB, convert 2 GB, or grows with the layers by more than the graph of a layer takes.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import bench

SYNTH_LIMIT = 1e9
CONVERT_LIMIT = 2e9
GROWTH_LIMIT = 1.2  # of the peak from the fewest layers to the most, beside the graph itself:
GRAPH_LAYER = 5e6   # bytes a layer's nodes and XML may take
COPY_BYTES = 4 * 2**30
# V4-Flash: bytes of a checkpoint's layer and of what lies outside the layers, and parameters of the same.
FLASH_LAYER = (3.8e9, 6.7e9)
FLASH_REST = (2.2e9, 1.1e9)


def needed_bytes(preset, layers, weight_format):
    """Checkpoint, model folder and the copy."""
    if preset != "v4-flash":
        return 4e9
    stored = layers * FLASH_LAYER[0] + FLASH_REST[0]
    parameters = layers * FLASH_LAYER[1] + FLASH_REST[1]
    return 1.05 * (stored + parameters * (2 if weight_format == "fp16" else 4)) + COPY_BYTES


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
    """core.read_model in a process of its own: seconds, peak RSS in bytes, anonymous bytes at the end."""
    program = """
import sys, time
import openvino
start = time.perf_counter()
model = openvino.Core().read_model(sys.argv[1])
seconds = time.perf_counter() - start
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(seconds, int(status["RssAnon"].split()[0]) * 1024)
"""
    measured = bench.run_measured(sys.executable, "-c", program, folder / "openvino_model.xml", shown=f"read_model {folder}")
    seconds, anonymous = measured.out.split()
    return float(seconds), measured.peak_bytes, int(anonymous)


def measure(arguments, work, what, preset, layers, synth_options):
    """Synthesises, copies, converts, opens and removes one model. Returns the rows of the tables and the two peaks."""
    checkpoint, folder = work / "checkpoint", work / "model"
    synth = bench.run_measured(arguments.dsv4, "synth", preset, checkpoint, *synth_options)
    stored = bench.size_of(checkpoint)
    before = copy_speed(checkpoint, work)
    convert = bench.run_measured(arguments.dsv4, "convert", "-m", checkpoint, folder, "--weight-format", arguments.weight_format)
    written = bench.size_of(folder)
    after = copy_speed(checkpoint, work)
    seconds, peak, anonymous = open_ir(folder)
    shutil.rmtree(checkpoint)
    shutil.rmtree(folder)
    row = [what, layers, bench.size_text(stored), f"{synth.peak_bytes / 1e6:.0f} MB", speed_text(synth.seconds, stored),
           bench.size_text(written), f"{convert.peak_bytes / 1e6:.0f} MB", speed_text(convert.seconds, written),
           f"{min(before, after):.2f} to {max(before, after):.2f} GB/s", f"{seconds:.2f} s, {peak / 1e6:.0f} MB, {anonymous / 1e6:.0f} MB"]
    return row, synth.peak_bytes, convert.peak_bytes


def speed_text(seconds, count):
    """Below a gigabyte the start of the program is most of the time, and a rate would say nothing."""
    return f"{seconds:.1f} s" + (f", {count / 1e9 / seconds:.2f} GB/s" if count >= 1e9 else "")


def complaints(what, layers, peaks):
    """What of one model's peaks, of so many layers each, is over a limit."""
    found = []
    for name, limit, values in (("synth", SYNTH_LIMIT, [synth for synth, _ in peaks]), ("convert", CONVERT_LIMIT, [convert for _, convert in peaks])):
        if max(values) > limit:
            found.append(f"{what}: {name} took {max(values) / 1e6:.0f} MB; at most {limit / 1e6:.0f} MB")
        if values[-1] > GROWTH_LIMIT * values[0] + GRAPH_LAYER * (layers[-1] - layers[0]):
            found.append(f"{what}: {name} grew with the layers, from {values[0] / 1e6:.0f} MB to {values[-1] / 1e6:.0f} MB")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsv4", default=bench.REPOSITORY / "build/release/dsv4")
    parser.add_argument("--dir", default=bench.REPOSITORY / "build/bench", help="on the disk that is to be measured")
    parser.add_argument("--preset", choices=("v4-flash", "toy"), default="v4-flash", help="toy leaves the large part out")
    parser.add_argument("--layers", type=int, default=2, help="of V4-Flash; compared with 1")
    parser.add_argument("--weight-format", choices=("fp16", "fp32"), default="fp16")
    arguments = parser.parse_args()
    if arguments.layers < 1:
        parser.error("--layers: at least 1")

    rows, failures, notes = [], [], []
    with bench.work_directory(arguments.dir) as directory:
        work = Path(directory)
        counts, peaks = (4, 43), []
        for layers in counts:
            row, *peak = measure(arguments, work, "toy dimensions", bench.deep_toy(work, layers), layers, ())
            rows.append(row)
            peaks.append(peak)
        failures += complaints("toy dimensions", counts, peaks)

        if arguments.preset == "v4-flash":
            needed, free = needed_bytes("v4-flash", arguments.layers, arguments.weight_format), bench.free_bytes(work)
            if free < needed:
                notes.append(f"V4-Flash dimensions were not measured: {arguments.layers} layers need {needed / 1e9:.0f} GB of disk, {free / 1e9:.0f} GB are free.")
            else:
                counts, peaks = sorted({1, arguments.layers}), []
                for layers in counts:
                    row, *peak = measure(arguments, work, "V4-Flash dimensions", "v4-flash", layers, ("--layers", layers))
                    rows.append(row)
                    peaks.append(peak)
                failures += complaints("V4-Flash dimensions", counts, peaks)

    print(bench.table(
        f"Synthetic checkpoints (random weights) in the published format, converted to {arguments.weight_format}. {bench.machine()}. Peaks are of the resident set, "
        "mapped pages included; speeds are bytes written over wall time, fsync of the .bin included. Copy: dd with fsync on the same disk, before and after the conversion. "
        "Sources were partly in the page cache.",
        ["weights", "layers", "checkpoint", "synth, peak RSS", "synth", "model folder", "convert, peak RSS", "convert", "copy",
         "read_model of the result: time, peak RSS of the Python process, of it anonymous at the end"], rows))
    for line in notes:
        print(line + "\n")
    for line in failures:
        bench.say("FAILED: " + line)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
