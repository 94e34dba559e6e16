#!/usr/bin/env python3
# Configures and builds a CMake preset quietly: one line in place on a terminal, everything in a log file, whose name and end are shown when it fails.
"""usage: tools/build.py PRESET [-j JOBS] [TARGET ...]

The log is build/PRESET.log. Without a terminal only the first and the last line are printed.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRESS = re.compile(r"\[\s*\d+(/\d+|%)\]")  # Ninja's [42/142], make's [ 42%]
LAST_LINES = 40


class Line:
    """The line in place; nothing where standard error is no terminal."""

    def __init__(self):
        self.shown = sys.stderr.isatty()

    def show(self, text):
        if self.shown:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r\x1b[K" + text[:width])
            sys.stderr.flush()

    def clear(self):
        self.show("")


def logged(command, log, line):
    """Runs the command with its output in the log; its exit code."""
    log.write("+ " + " ".join(command) + "\n")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        for text in process.stdout:
            log.write(text)
            if PROGRESS.match(text):
                line.show(text.rstrip().replace("Building CXX object ", ""))
        return process.wait()


def failed(path):
    """What the compiler said: from its first error on where there is one, else the last lines."""
    lines = path.read_text(errors="replace").splitlines()
    first = next((i for i, text in enumerate(lines) if text.startswith("FAILED:") or " error: " in text or "CMake Error" in text), max(0, len(lines) - LAST_LINES))
    print("\n".join(lines[first:first + LAST_LINES]), file=sys.stderr)
    print(f"build: failed; the whole log is {path.relative_to(ROOT)}", file=sys.stderr)
    return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", help="of CMakePresets.json")
    parser.add_argument("targets", nargs="*", help="all by default")
    parser.add_argument("-j", "--jobs", default="2", help="parallel compiler jobs")
    options = parser.parse_intermixed_args()

    path = ROOT / "build" / f"{options.preset}.log"
    path.parent.mkdir(exist_ok=True)
    what = " ".join(options.targets) or "everything"
    print(f"build: {what} in build/{options.preset} (log: {path.relative_to(ROOT)})", flush=True)
    start, line = time.monotonic(), Line()
    build = ["cmake", "--build", "--preset", options.preset, "-j", options.jobs, *(["--target", *options.targets] if options.targets else [])]
    with open(path, "w", buffering=1) as log:
        line.show("configuring")
        code = logged(["cmake", "--preset", options.preset], log, line) or logged(build, log, line)
    line.clear()
    if code != 0:
        return failed(path)
    print(f"build: done in {time.monotonic() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
