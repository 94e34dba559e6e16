#!/usr/bin/env python3
# Runs the built test suites, reads their JUnit reports and ends with one line "N passed, N failed"; exit code 0 only if some passed and none failed.
"""usage: tools/run-tests.py [--full] [--fuzz-seconds N]

Default: C++ tests (build/release), Python tests, the tests of OpenVINO GenAI and optimum-intel on our folders, and the checkpoint, ops, quantize and reference tests under AddressSanitizer and UBSan (build/asan).
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
FULL_TESTS = r"(^|[./])Full_"  # for ctest
SANITIZED_PROGRAMS = ["test_checkpoint", "test_ops", "test_quantize", "test_reference"]
# Not under the sanitizers by default: the long tests, and goldens that run for minutes there on paths that shorter ones take too.
NOT_SANITIZED = "-Full_*:*.Full_*:*/Full_*:GoldenMini.Likelihood*:*GoldenGreedy*"
SUITE_SECONDS = 3600  # a suite that hangs ends as a failure


class Result:
    """Counts of one suite, and the names of its failures."""

    def __init__(self, title):
        self.title = title
        self.passed = 0
        self.skipped = 0
        self.failures = []
        self.seconds = 0.0


def run(command, environment=None, log=None):
    """The exit code; output goes straight to the terminal, or to the open file `log`."""
    command = [str(part) for part in command]
    print("+ " + " ".join(command), flush=True)
    try:
        return subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=SUITE_SECONDS, stdout=log, stderr=log).returncode
    except subprocess.TimeoutExpired:
        print(f"stopped after {SUITE_SECONDS} s", flush=True)
        return 124
    except OSError as error:
        print(error, flush=True)
        return 127


def read_junit(path, result):
    """Adds the cases of a report by ctest, GoogleTest or pytest. A case that was not run counts as failed unless it asked to be skipped."""
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = "::".join(dict.fromkeys(part for part in (case.get("classname"), case.get("name")) if part))  # ctest gives the same text as both
        skipped = case.find("skipped")
        message = (skipped.get("message") or "") if skipped is not None else ""
        not_run = case.get("status") == "notrun"
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            result.failures.append(name)
        elif not_run and case.get("result") is None and not message.startswith("SKIP_"):
            result.failures.append(f"{name} (not run: {message or 'no reason given'})")  # how ctest reports a missing program
        elif not_run or skipped is not None or case.get("status") == "disabled":
            result.skipped += 1
        else:
            result.passed += 1


def run_reported(result, command, report, environment=None):
    """Runs a program that writes the JUnit file `report` and adds it to `result`. A crash, a missing report or no test at all is a failure."""
    report.unlink(missing_ok=True)
    start = time.monotonic()
    ran, failed = result.passed, len(result.failures)
    code = run(command, environment)
    result.seconds += time.monotonic() - start
    try:
        read_junit(report, result)
    except (OSError, ElementTree.ParseError) as error:
        result.failures.append(f"{report.stem}: no report, exit code {code}: {error}")
        return
    if result.passed == ran and len(result.failures) == failed:
        result.failures.append(f"{report.stem}: no test ran, exit code {code}")
    elif code != 0 and len(result.failures) == failed:
        result.failures.append(f"{report.stem}: exit code {code} although no test failed")


def cpp_tests(full):
    """Every test in a process of its own, so that a crash costs one."""
    result = Result("C++ tests")
    report = RESULTS / "release.xml"
    command = ["ctest", "--test-dir", ROOT / "build" / "release", "-j2", "--output-on-failure", "--timeout", "900", "--output-junit", report]
    run_reported(result, [*command, *([] if full else ["-E", FULL_TESTS])], report)
    return result


def python_tests(full):
    """The tokenizer's in an environment of their own, which has what they compare with."""
    result = Result("Python tests")
    environment = dict(os.environ, DSV4_BIN=str(ROOT / "build" / "release" / "dsv4"))
    for venv, name, arguments in [("venv", "python", ["tests", "--ignore=tests/text"]), ("venv-text", "python-text", ["tests/text"])]:
        report = RESULTS / f"{name}.xml"
        command = [ROOT / "build" / venv / "bin" / "python", "-m", "pytest", *arguments, "-q", f"--junitxml={report}", *(["-m", ""] if full else [])]
        run_reported(result, command, report, environment)
    return result


def client_tests(full):
    """OpenVINO GenAI and optimum-intel bring hundreds of megabytes, so they have an environment of their own."""
    result = Result("Clients: OpenVINO GenAI, optimum-intel")
    report = RESULTS / "clients.xml"
    command = [ROOT / "build" / "venv-clients" / "bin" / "python", "-m", "pytest", "tests/clients", "-q", f"--junitxml={report}",
               *(["-m", ""] if full else [])]
    run_reported(result, command, report, dict(os.environ, DSV4_BIN=str(ROOT / "build" / "release" / "dsv4")))
    return result


def sanitized_tests(full):
    """Whole programs: with the sanitizers a process takes longer to start than most tests to run."""
    result = Result("C++ tests, ASan and UBSan")
    folder = ROOT / "build" / "asan" / "tests"
    names = sorted(path.name for path in folder.glob("test_*") if os.access(path, os.X_OK) and path.is_file()) if full else SANITIZED_PROGRAMS
    for name in names:
        report = RESULTS / f"asan-{name}.xml"
        command = [*without_address_randomisation(), folder / name, f"--gtest_output=xml:{report}", "--gtest_brief=1"]
        run_reported(result, [*command, *([] if full else [f"--gtest_filter={NOT_SANITIZED}"])], report, sanitizer_environment())
    if not names:
        result.failures.append(f"no test program in {folder}")
    return result


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
        command = [*without_address_randomisation(), target, f"-max_total_time={seconds}", "-print_final_stats=1", "-rss_limit_mb=2048", "-timeout=25",
                   f"-artifact_prefix={work}/crash-", work / "corpus", *([seeds] if seeds.is_dir() else [])]
        (work / "corpus").mkdir(exist_ok=True)
        log = work / "log.txt"
        with open(log, "w") as output:
            code = run(command, sanitizer_environment(), output)
        lines = log.read_text(errors="replace").splitlines()
        if code == 0:
            result.passed += 1
            print("\n".join(line for line in lines if line.startswith("stat::number_of_executed_units")), flush=True)
        else:
            result.failures.append(f"{target.name} (log and input in {work})")
            print("\n".join(lines[-40:]), flush=True)
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

    results = [cpp_tests(options.full), python_tests(options.full), client_tests(options.full), sanitized_tests(options.full)]
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
