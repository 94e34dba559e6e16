#!/usr/bin/env python3
# Runs the built test suites, reads their JUnit reports and ends with one line "N passed, N failed"; exit code 0 only if some passed and none failed.
"""usage: tools/run-tests.py [--full] [--fuzz-seconds N]

Default: C++ tests (build/release), Python tests, and the checkpoint and reference tests under AddressSanitizer and UBSan (build/asan).
--full:  also the tests named Full_* and marked `full`, all C++ tests under the sanitizers, and every fuzz target (build/fuzz).
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "test-results"
SANITIZED_ROOMS = "^(checkpoint|reference)$"
FULL_TESTS = r"(^|[./])Full_"
SUITE_SECONDS = 3600  # a suite that hangs ends as a failure


class Result:
    """Counts of one suite, and the names of its failures."""

    def __init__(self, title):
        self.title = title
        self.passed = 0
        self.skipped = 0
        self.failures = []
        self.seconds = 0.0


def run(command, environment=None):
    """The exit code; output goes straight to the terminal."""
    print("+ " + " ".join(str(part) for part in command), flush=True)
    try:
        return subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=False, timeout=SUITE_SECONDS).returncode
    except subprocess.TimeoutExpired:
        print(f"stopped after {SUITE_SECONDS} s", flush=True)
        return 124


def read_junit(path, result):
    """Adds the cases of a report by ctest or pytest. A case that was not run counts as failed unless it asked to be skipped."""
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = "::".join(dict.fromkeys(part for part in (case.get("classname"), case.get("name")) if part))  # ctest gives the same text as both
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            result.failures.append(name)
        elif skipped is not None or case.get("status") in ("notrun", "disabled"):
            # ctest reports a missing program as "notrun" too, with the reason as message.
            message = (skipped.get("message") or "") if skipped is not None else ""
            by_ctest = case.get("status") == "notrun"
            if by_ctest and not message.startswith("SKIP_"):
                result.failures.append(f"{name} (not run: {message or 'no reason given'})")
            else:
                result.skipped += 1
        else:
            result.passed += 1


def run_reported(title, command, report, environment=None):
    """Runs a suite that writes the JUnit file `report`. A crash, a missing report or a suite without tests is a failure."""
    result = Result(title)
    report.unlink(missing_ok=True)
    start = time.monotonic()
    code = run(command, environment)
    result.seconds = time.monotonic() - start
    try:
        read_junit(report, result)
    except (OSError, ElementTree.ParseError) as error:
        result.failures.append(f"no report from this suite (exit code {code}): {error}")
        return result
    if result.passed + len(result.failures) == 0:
        result.failures.append(f"no test ran (exit code {code})")
    elif code != 0 and not result.failures:
        result.failures.append(f"the suite ended with exit code {code} although no test failed")
    return result


def ctest(title, build, arguments, environment=None, prefix=()):
    report = RESULTS / f"{build}.xml"
    command = [*prefix, "ctest", "--test-dir", ROOT / "build" / build, "-j2", "--output-on-failure", "--timeout", "900"]
    return run_reported(title, [*command, "--output-junit", report, *arguments], report, environment)


def sanitizer_environment():
    environment = dict(os.environ)
    environment.setdefault("ASAN_OPTIONS", "strict_string_checks=1:detect_stack_use_after_return=1")
    environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    # OpenVINO and TBB keep some memory until the process ends.
    environment.setdefault("LSAN_OPTIONS", f"suppressions={ROOT / 'tests' / 'lsan.supp'}:print_suppressions=0")
    return environment


def without_address_randomisation():
    """The AddressSanitizer of GCC up to 12 and Clang up to 16 may find its shadow memory taken on kernels with 32 random address bits."""
    prefix = ["setarch", os.uname().machine, "--addr-no-randomize"]
    usable = shutil.which("setarch") and subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    return prefix if usable else []


def fuzz(seconds):
    """Every fuzz target for the given time, from its seeds in tests/fuzz/corpus/<target> where there are some. One target is one test."""
    result = Result(f"Fuzz targets, {seconds} s each")
    start = time.monotonic()
    targets = sorted(path for path in (ROOT / "build" / "fuzz").glob("fuzz_*") if path.is_file() and os.access(path, os.X_OK))
    for target in targets:
        work = RESULTS / target.name
        work.mkdir(parents=True, exist_ok=True)
        seeds = ROOT / "tests" / "fuzz" / "corpus" / target.name
        command = [*without_address_randomisation(), target, f"-max_total_time={seconds}", "-print_final_stats=1", "-verbosity=0", "-rss_limit_mb=2048",
                   f"-artifact_prefix={work}/crash-", work / "corpus", *([seeds] if seeds.is_dir() else [])]
        (work / "corpus").mkdir(exist_ok=True)
        if run(command, sanitizer_environment()) == 0:
            result.passed += 1
        else:
            result.failures.append(f"{target.name} (the input is in {work})")
    if not targets:
        result.failures.append("no fuzz target was built")
    result.seconds = time.monotonic() - start
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="everything; takes long")
    parser.add_argument("--fuzz-seconds", type=int, default=60, help="time for each fuzz target (with --full)")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)

    results = [ctest("C++ tests", "release", [] if options.full else ["-E", FULL_TESTS])]

    environment = dict(os.environ, DSV4_BIN=str(ROOT / "build" / "release" / "dsv4"))
    report = RESULTS / "python.xml"
    pytest = [ROOT / "build" / "venv" / "bin" / "python", "-m", "pytest", "tests", "-q", f"--junitxml={report}", *(["-m", ""] if options.full else [])]
    results.append(run_reported("Python tests", pytest, report, environment))

    # The likelihood tests only repeat the forward on more tokens: minutes under the sanitizers.
    sanitized = [] if options.full else ["-L", SANITIZED_ROOMS, "-E", FULL_TESTS + "|Likelihood"]
    results.append(ctest("C++ tests, ASan and UBSan", "asan", sanitized, sanitizer_environment(), without_address_randomisation()))
    if options.full:
        results.append(fuzz(options.fuzz_seconds))

    print()
    for result in results:
        skipped = f", {result.skipped} skipped" if result.skipped else ""
        print(f"{result.title}: {result.passed} of {result.passed + len(result.failures)} passed{skipped}, {result.seconds:.0f} s")
        for failure in result.failures:
            print(f"  FAILED {failure}")
    passed = sum(result.passed for result in results)
    failed = sum(len(result.failures) for result in results)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
