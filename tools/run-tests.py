#!/usr/bin/env python3
# Runs the built test suites, reads their JUnit reports and ends with one line "N passed, N failed"; exit code 0 only if some passed and none failed.
"""usage: tools/run-tests.py [--full] [--fuzz-seconds N] [--only SUITE ...]

Default: C++ tests (build/release), Python tests, the tests of OpenVINO GenAI and transformers on our folders, and the test programs of SANITIZED under
AddressSanitizer and UBSan (build/asan).
--full:  also the tests of optimum-intel and lm_eval, those named Full_* and marked `full`, all C++ tests once more without optimisation and with the assertions of the
         standard library (build/debug), all under the sanitizers, those with threads under ThreadSanitizer (build/tsan), and every fuzz target (build/fuzz).
--only:  some of: cpp python clients asan debug tsan fuzz.
Two programs run at a time; what each printed is in build/test-results/NAME.log, and is shown when it ends.
"""

import argparse
import functools
import os
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "test-results"
FULL_TESTS = r"(^|[./])Full_"  # for ctest
# The programs and tests under AddressSanitizer and UBSan by default (the programs as in the Makefile): of sessions, whose models OpenVINO takes ten times as long
# to compile there, one of each kind.
SANITIZED = {
    "test_checkpoint": "*",
    "test_convert": "*",
    "test_files": "*",
    "test_ops": "*",
    "test_quantize": "*",
    "test_reference": "*",
    "test_runtime": ("CacheMemory*:Walks.*:FuzzReplay.Snapshots:"
                     "CpuProgram*:CheckedInference*:DamagedTable*:Snapshot.*:StoredFormats*:Sampler*:Logprobs*:Npy*:Expansion*:Argmax*:NegativeLogProbability*:EndTokens*:"
                     "CheckTokens*:FirstLine*:Folder.Refuses*:Folder.Names*:Forms/Toy.*/Cpu:Forms/Toy.GivesTheSameInAnyNumberOfCalls/*:"
                     "Goldens/Formats.GiveWhatThePortableProgramGives/toyInt4:Goldens/Formats.GiveTheSameForSessionsInTurn/toyMxfp4:"
                     "Generate.ContinuesAsTheGoldensDo:LikelihoodOfToy.DoesNotDependOnTheChunk"),
    "test_server": "*",
    "test_text": "*",
}
# Not under the sanitizers by default: the long tests, and what runs for minutes there on paths that shorter ones take too.
NOT_SANITIZED = ("-Full_*:*.Full_*:*/Full_*:GoldenMini.Likelihood*:*GoldenGreedy*:Killed*:*DamagedSnapshots*:*Failing*:CpuProgram.RoundsItsCache*:"
                 "CpuProgram.IsMeasuredByPart:*HeadersListThePieces*/v4pro:*HeadersListThePieces*/v4flash0731:Synthesize.NoParameterIsConstant:"
                 "Converted.Mxfp4KeepsThePublishedBitsOfTheExperts:AttentionBits.DoNotDependOnHowManyRowsOtherTokensSee:"
                 "Stopped.StartsAnewWithoutAReadableRecord:Folder.EveryRotaryFactor*:RtInfo.TheCpuPluginTakes*:Synthesize.ValuesHaveTheSize*:*HeadersListThePieces*/v4flash:"
                 "Experts.GivesATokenTheSameBitsInEveryCallWithExactActivations:FloatBits.AreThoseOfATokenAlone:Multiply.ThreadsChangeNoBit:"
                 "StoredToy.EveryTensorsFormat*:CacheQuantization.Hash*:*SameInAnyNumberOfCalls/PrefillOnly:"
                 "DsparkGolden.RoundsItsCacheAsTheModelDoes:NextN.DraftsWhatDeepSeeksCodeDrafts")
# Under ThreadSanitizer: the threads of the converter, direct reads, the mutex of the tokenizer, the loops of the ops, sessions in two threads and on two, the server.
RACED = {
    "test_convert": "*",
    "test_files": "*",
    "test_ops": "*",
    "test_runtime": "*TwoThreads*:*SameInAnyNumberOfCalls*:*RowBits*/toyInt4",
    "test_server": "Http*",
    "test_text": "*MayBeUsedByThreads*",
}
SUITE_SECONDS = 3600  # a program that hangs ends as a failure
AT_A_TIME = 2
PRINTING = threading.Lock()
SHOWN_LINES = 400  # of a program's output, the last ones


class Result:
    """Counts of one suite, and the names of its failures."""

    def __init__(self, title):
        self.title = title
        self.passed = 0
        self.skipped = 0
        self.failures = []
        self.seconds = 0.0


def run(name, command, environment=None, shown_lines=None):
    """The exit code. The output goes to build/test-results/NAME.log and is printed in the end, or its last lines."""
    command = [str(part) for part in command]
    path = RESULTS / f"{name}.log"
    with open(path, "w") as log:
        try:
            code = subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=SUITE_SECONDS, stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode
        except subprocess.TimeoutExpired:
            print(f"stopped after {SUITE_SECONDS} s", file=log)
            code = 124
        except OSError as error:
            print(error, file=log)
            code = 127
    with PRINTING:
        print("+ " + " ".join(command))
        lines = path.read_text(errors="replace").splitlines()
        shown = lines if shown_lines is None or code != 0 else lines[-shown_lines:]
        print("\n".join(shown[-SHOWN_LINES:]), flush=True)
    return code


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


def run_reported(result, command, report, environment=None, shown_lines=None):
    """Runs a program that writes the JUnit file `report` and adds it to `result`. A crash, a missing report or no test at all is a failure."""
    report.unlink(missing_ok=True)
    start = time.monotonic()
    code = run(report.stem, command, environment, shown_lines)
    own = Result(report.stem)
    try:
        read_junit(report, own)
        if not own.passed and not own.failures:
            own.failures.append(f"{report.stem}: no test ran, exit code {code}")
        elif code != 0 and not own.failures:
            own.failures.append(f"{report.stem}: exit code {code} although no test failed")
    except (OSError, ElementTree.ParseError) as error:
        own.failures.append(f"{report.stem}: no report, exit code {code}: {error}")
    with PRINTING:
        result.passed += own.passed
        result.skipped += own.skipped
        result.failures += own.failures
        result.seconds += time.monotonic() - start


def ctest(result, folder, name, arguments):
    """Every test in a process of its own, so that a crash costs one."""
    report = RESULTS / f"{name}.xml"
    command = ["ctest", "--test-dir", folder, f"-j{AT_A_TIME}", "--output-on-failure", "--timeout", "900", "--output-junit", report, *arguments]
    run_reported(result, command, report, shown_lines=3)


def run_pytest(result, venv, name, arguments, full):
    """pytest in build/<venv>; an environment that is not there is a failure."""
    report = RESULTS / f"{name}.xml"
    command = [ROOT / "build" / venv / "bin" / "python", "-m", "pytest", *arguments, "-q", f"--junitxml={report}", *(["-m", ""] if full else [])]
    run_reported(result, command, report, dict(os.environ, DSV4_BIN=str(ROOT / "build" / "release" / "dsv4")))


# A suite is a result and the programs that are to be run for it, each a function without arguments.


def cpp_tests(full):
    result = Result("C++ tests")
    return result, [lambda: ctest(result, ROOT / "build" / "release", "release", [] if full else ["-E", FULL_TESTS])]


def debug_tests():
    result = Result("C++ tests without optimisation")
    return result, [lambda: ctest(result, ROOT / "build" / "debug", "debug", ["-E", FULL_TESTS])]


def python_tests(full):
    """The tokenizer's in an environment of their own, which has what they compare with."""
    result = Result("Python tests")
    return result, [lambda: run_pytest(result, "venv", "python", ["tests", "--ignore=tests/text", "--ignore=tests/clients", "--ignore=tests/scale/test_ray.py"], full),
                    lambda: run_pytest(result, "venv-text", "python-text", ["tests/text"], full)]


def client_tests(full):
    """OpenVINO GenAI and transformers; optimum-intel, lm_eval and Ray only with `full`, for their environments are a gigabyte each."""
    result = Result("Clients: OpenVINO GenAI, transformers" + (", optimum-intel, lm_eval, Ray" if full else ""))
    large = ["tests/clients/test_optimum.py", "tests/clients/test_optimum_plugin.py", "tests/clients/test_lm_eval.py"]
    programs = [lambda: run_pytest(result, "venv-clients", "clients", ["tests/clients", *(f"--ignore={file}" for file in large)], full)]
    if full:
        programs.append(lambda: run_pytest(result, "venv-optimum", "clients-optimum", [*large, "tests/clients/test_upstream.py"], full))
        programs.append(lambda: run_pytest(result, "venv-ray", "ray", ["tests/scale/test_ray.py"], full))
    return result, programs


def sanitized_tests(full):
    """Whole programs: with the sanitizers a process takes longer to start than most tests to run."""
    result = Result("C++ tests, ASan and UBSan")
    folder = ROOT / "build" / "asan" / "tests"
    if not full:
        return result, [functools.partial(sanitized_program, result, folder / name, "asan", f"{tests}{NOT_SANITIZED}") for name, tests in SANITIZED.items()]
    names = sorted(path.name for path in folder.glob("test_*") if os.access(path, os.X_OK) and path.is_file())
    if not names:
        result.failures.append(f"no test program in {folder}")
    return result, [functools.partial(sanitized_program, result, folder / name, "asan", "*") for name in names]


def raced_tests():
    result = Result("C++ tests, ThreadSanitizer")
    folder = ROOT / "build" / "tsan" / "tests"
    return result, [functools.partial(sanitized_program, result, folder / name, "tsan", f"{tests}{NOT_SANITIZED}") for name, tests in RACED.items()]


def sanitized_program(result, program, sanitizer, tests):
    report = RESULTS / f"{sanitizer}-{program.name}.xml"
    command = [*without_address_randomisation(), program, f"--gtest_output=xml:{report}", "--gtest_brief=1", f"--gtest_filter={tests}"]
    run_reported(result, command, report, sanitizer_environment())


def sanitizer_environment():
    environment = dict(os.environ)
    environment.setdefault("ASAN_OPTIONS", "strict_string_checks=1:detect_stack_use_after_return=1")
    environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    # OpenVINO and TBB keep some memory until the process ends.
    environment.setdefault("LSAN_OPTIONS", f"suppressions={ROOT / 'tests' / 'lsan.supp'}:print_suppressions=0")
    environment.setdefault("TSAN_OPTIONS", f"suppressions={ROOT / 'tests' / 'tsan.supp'}")
    return environment


def without_address_randomisation():
    """The sanitizers of GCC up to 12 and Clang up to 16 may find their shadow memory taken on kernels with 32 random address bits."""
    prefix = ["setarch", os.uname().machine, "--addr-no-randomize"]
    usable = shutil.which("setarch") and subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    return prefix if usable else []


def fuzz_tests(seconds):
    """Every fuzz target for the given time, from its seeds in tests/fuzz/corpus/<target> where there are some. One target is one test."""
    result = Result(f"Fuzz targets, {seconds} s each")
    targets = sorted(path for path in (ROOT / "build" / "fuzz").glob("fuzz_*") if path.is_file() and os.access(path, os.X_OK))
    if not targets:
        result.failures.append("no fuzz target was built")
    return result, [functools.partial(fuzz, result, target, seconds) for target in targets]


def fuzz(result, target, seconds):
    work = RESULTS / target.name
    (work / "corpus").mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "tests" / "fuzz" / "corpus" / target.name
    command = [*without_address_randomisation(), target, f"-max_total_time={seconds}", "-print_final_stats=1", "-rss_limit_mb=2048", "-timeout=25",
               f"-artifact_prefix={work}/crash-", work / "corpus", *([seeds] if seeds.is_dir() else [])]
    start = time.monotonic()
    code = run(target.name, command, sanitizer_environment(), shown_lines=8)
    with PRINTING:
        result.seconds += time.monotonic() - start
        if code == 0:
            result.passed += 1
        else:
            result.failures.append(f"{target.name} (log in {RESULTS}, input in {work})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="everything; takes long")
    parser.add_argument("--fuzz-seconds", type=int, default=60, help="time for each fuzz target (with --full)")
    parser.add_argument("--only", nargs="+", metavar="SUITE", help="cpp, python, clients, asan, debug, tsan, fuzz")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)

    suites = {
        "cpp": lambda: cpp_tests(options.full),
        "python": lambda: python_tests(options.full),
        "clients": lambda: client_tests(options.full),
        "asan": lambda: sanitized_tests(options.full),
        "debug": debug_tests,
        "tsan": raced_tests,
        "fuzz": lambda: fuzz_tests(options.fuzz_seconds),
    }
    names = options.only or (list(suites) if options.full else ["cpp", "python", "clients", "asan"])
    if unknown := [name for name in names if name not in suites]:
        parser.error(f"no suite {unknown[0]!r}; known: {' '.join(suites)}")
    chosen = [suites[name]() for name in names]
    # ctest uses all cores by itself; the others are of one process each.
    alone = [program for name, (_, programs) in zip(names, chosen) if name in ("cpp", "debug") for program in programs]
    together = [program for name, (_, programs) in zip(names, chosen) if name not in ("cpp", "debug") for program in programs]
    for program in alone:
        program()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for future in [pool.submit(program) for program in together]:
            future.result()

    results = [result for result, _ in chosen]
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
