# What the benchmarks share: the machine in words, yardsticks, measured child processes, Markdown tables.
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TOY = REPOSITORY / "tests/data/goldens/toy"
GNU_TIME = "/usr/bin/time"


def say(text):
    """Progress; standard output is for the tables."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def machine():
    """CPU model, its threads and the memory."""
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    total_kib = int(next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")).split()[1])
    return f"{fields.get('model name', os.uname().machine)}, {len(os.sched_getaffinity(0))} threads, {total_kib / 2**20:.0f} GiB RAM"


def copy_bandwidth(threads, megabytes=512, repeats=7):
    """GB/s that memory gives: bytes read plus bytes written of numpy copies between arrays far beyond the caches, one pair a thread; best of `repeats`."""
    import numpy as np

    count = megabytes * 2**20 // 8 // threads
    pairs = [(np.ones(count), np.zeros(count)) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            best = max(best, 2 * 8 * count * threads / 1e9 / (time.perf_counter() - start))
    return best


@dataclass
class Measured:
    seconds: float
    peak_bytes: int  # largest resident set
    out: str


def run_measured(*command, shown=None):
    """Runs a program, `shown` in the progress lines; its peak resident set from GNU time, or from wait4, whose figure is never below this process's own at the fork."""
    command = [str(part) for part in command]
    say(shown or " ".join(command))
    with tempfile.NamedTemporaryFile("r", suffix=".time") as report:
        timed = [GNU_TIME, "-f", "%M", "-o", report.name] if os.access(GNU_TIME, os.X_OK) else []
        start = time.perf_counter()
        child = subprocess.Popen(timed + command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            out = child.stdout.read()
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:  # interrupted: GNU time and what it runs are one group
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
            raise
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"bench: {shown or ' '.join(command)}: exit code {child.returncode}")
        peak_kib = int(report.read().split()[-1]) if timed else usage.ru_maxrss
    return Measured(seconds, peak_kib * 1024, out)


def deep_toy(directory, layers):
    """A config.json of the toy's dimensions with the layer pattern of V4-Flash: two sliding layers, then ratios 4 and 128 in turn, three hash layers."""
    config = json.loads((TOY / "config.json").read_text())
    config["num_hidden_layers"] = layers
    config["compress_ratios"] = ([0, 0] + [4, 128] * layers)[:layers]
    config["num_hash_layers"] = min(3, layers)
    config["hc_sinkhorn_iters"] = 20
    file = Path(directory) / f"toy-{layers}-layers.json"
    file.write_text(json.dumps(config))
    return file


def size_of(directory):
    return sum(file.stat().st_size for file in Path(directory).iterdir())


def free_bytes(directory):
    return shutil.disk_usage(directory).free


def available_memory():
    """Bytes, as the kernel estimates them."""
    return 1024 * int(next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")).split()[1])


def size_text(count):
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def table(title, header, rows):
    """A Markdown table with a line above it."""
    lines = [title, "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def work_directory(parent):
    """A fresh directory below `parent`, removed when the program ends, by SIGTERM too."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    Path(parent).mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="dsv4-bench-", dir=parent)
