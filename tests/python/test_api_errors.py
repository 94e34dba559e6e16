# What is wrong is an exception with one line, never a crash; Ctrl-C ends what takes long; sessions are for one thread at a time.
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import dsv4
import goldens

PACKAGES = Path(dsv4.__file__).parent.parent
MINI = goldens.CHECKPOINTS["mini"]


class OnDevice:
    """An array as PyTorch and CuPy show theirs on a GPU."""

    __cuda_array_interface__ = {"shape": (3,), "typestr": "<i8", "data": (0, False), "version": 3}


@pytest.mark.parametrize("tokens, names", [
    (np.array([1.0, 2.0]), "float64"), ([1.5], "float64"), ([True, False], "bool"), (np.zeros((2, 3), np.int64), r"\[2, 3\]"), (5, r"\[\]"), ("text", "encode"),
    ([[1, 2], [3]], "array"), ([1, None], "object"), (np.array([2**63], np.uint64), "9223372036854775808"), ([2**70], "object"), (OnDevice(), "device"), (None, "shape|object"),
    ({"a": 1}, "shape|object"), ([], "no tokens|at least one"), ([-1], "-1"), ([10**6], "1000000"),
], ids=str)
def test_tokens_that_are_none(engine, tokens, names):
    session = engine.session()
    session.feed([1, 2])
    calls = [session.feed] if isinstance(tokens, str) else [session.feed, session.generate]  # a prompt may be text
    for call in calls:
        with pytest.raises(dsv4.Error, match=names) as caught:
            call(tokens)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 2000
    assert session.position == 2


@pytest.mark.parametrize("options", [
    {"temperature": -1}, {"temperature": float("nan")}, {"top_p": 0}, {"top_k": -2}, {"min_p": 2}, {"seed": -1}, {"max_new_tokens": -1}, {"max_new_tokens": 1.5},
    {"max_new_tokens": 2**64}, {"logprobs": 21}, {"stop": ""}, {"stop": ["a\0b"]}, {"stop": [3]}, {"stop_tokens": ["a"]}, {"logit_bias": {1: 200}},
    {"logit_bias": [1]}, {"temprature": 1}, {"repetition_penalty": 0},
], ids=str)
def test_sampling_options_that_are_none(engine, options):
    with pytest.raises(dsv4.UsageError) as caught:
        engine.generate("a", **options)
    assert "\n" not in str(caught.value)
    with pytest.raises(dsv4.UsageError):
        engine.generate_batch(["a"], **options)


@pytest.mark.parametrize("options", [
    {"program": "gpu"}, {"threads": -1}, {"threads": "x"}, {"context": -5}, {"activations": "f16"}, {"weights": "magic"}, {"expert_cache": -1}, {"device": "NOWHERE"},
    {"thread": 1}, {"cache": "int8"},
], ids=str)
def test_engine_options_that_are_none(mini, options):
    with pytest.raises(dsv4.UsageError):
        dsv4.Engine(mini, **options)


@pytest.mark.parametrize("make", [
    lambda place: place / "nowhere", lambda place: MINI, lambda place: place, lambda place: "", lambda place: "a\0b", lambda place: 5,
], ids=["nothing", "checkpoint", "empty", "no name", "NUL", "a number"])
def test_folders_that_are_none(tmp_path, make):
    with pytest.raises(dsv4.Error) as caught:
        dsv4.Engine(make(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["bin cut", "bin gone", "xml of another version", "config gone"])
def test_damaged_folders(mini, tmp_path, damage):
    folder = tmp_path / "folder"
    shutil.copytree(mini, folder)
    weights, ir = folder / "openvino_model.bin", folder / "openvino_model.xml"
    if damage == "bin cut":
        os.truncate(weights, weights.stat().st_size // 2)
    elif damage == "bin gone":
        weights.unlink()
    elif damage == "config gone":
        (folder / "config.json").unlink()
    else:
        ir.write_text(ir.read_text().replace('version="11"', 'version="99"', 1))
    with pytest.raises(dsv4.Error) as caught:
        dsv4.Engine(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_snapshots_that_are_none(engine, exact, tmp_path):
    session = engine.session()
    session.feed([1, 2, 3])
    (tmp_path / "no").write_bytes(b"no snapshot")
    for source in (tmp_path / "no", tmp_path / "nowhere", exact.session().save()):
        with pytest.raises(dsv4.Error):
            session.restore(source)
    assert session.position == 3


def test_more_tokens_than_the_context(mini):
    session = dsv4.Engine(mini, context=8, threads=1).session()
    with pytest.raises(dsv4.Error):
        session.feed(range(9))
    assert session.position == 0
    assert session.generate([1] * 6, max_new_tokens=99, ignore_eos=True).run().finish_reason == "length"


def test_wrong_prompts_of_a_batch_are_named(engine):
    with pytest.raises(dsv4.Error, match="prompt 1"):
        engine.generate_batch([[1, 2], [10**6]])
    with pytest.raises(dsv4.UsageError, match="list"):
        engine.generate_batch("text")
    with pytest.raises(dsv4.Error):
        engine.generate_batch(["a"], parallel=0)


def test_errors_name_no_inner_module():
    assert dsv4.Error.__module__ == "dsv4" and issubclass(dsv4.UsageError, dsv4.Error) and issubclass(dsv4.UsageError, ValueError)


def test_a_session_in_two_threads_is_refused(engine):
    session, errors = engine.session(), []
    with session._exclusive():  # as a call of another thread has it
        thread = threading.Thread(target=lambda: errors.append(pytest.raises(dsv4.Error, session.feed, [1])))
        thread.start()
        thread.join()
    assert "another thread" in str(errors[0].value)
    assert session.feed([1]).shape[0] == 1


def test_sessions_of_one_engine_in_threads_give_what_they_give_alone(engine):
    prompts = [[0, 5 * i + 3, 9] for i in range(4)]
    expected = [engine.generate(prompt, max_new_tokens=12).run().tokens for prompt in prompts]
    found = [None] * len(prompts)

    def work(i):
        found[i] = engine.generate(prompts[i], max_new_tokens=12).run().tokens

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


INTERRUPTED = """
import signal, sys, dsv4, numpy
what, folder, checkpoint, out = sys.argv[1:]
def interrupt(*_):
    signal.raise_signal(signal.SIGINT)
signal.signal(signal.SIGALRM, interrupt)
engine = dsv4.Engine(folder, threads=2) if what != "convert" else None
session = engine.session() if engine else None
try:
    if what == "feed":
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        session.feed([5] * 200000)
    if what == "generate":
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        for token in session.generate([5], max_new_tokens=10**6, ignore_eos=True): pass
    if what == "batch":
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        engine.generate_batch([[5]] * 4, max_new_tokens=10**6, ignore_eos=True)
    if what == "convert":
        dsv4.convert(checkpoint, out, weight_format="fp32", notice=print, progress=lambda done, total: done > total // 4 and signal.setitimer(signal.ITIMER_REAL, 0.001))
except KeyboardInterrupt:
    print("interrupted", session.position if session else "")
    if session:
        session.reset()
        print(session.feed([1]).shape[0])
"""


@pytest.mark.parametrize("what", ["feed", "generate", "batch"])
def test_ctrl_c_ends_what_takes_long(mini, tmp_path, what):
    environment = dict(os.environ, PYTHONPATH=str(PACKAGES))
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, what, mini, MINI, tmp_path / "out"], env=environment, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0].startswith("interrupted") and lines[-1] == "1", done.stdout + done.stderr
    if what == "feed":
        assert 0 < int(lines[0].split()[1]) < 200000


def test_ctrl_c_ends_a_conversion_that_goes_on_later(mini, tmp_path):
    environment = dict(os.environ, PYTHONPATH=str(PACKAGES))
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, "convert", mini, MINI, tmp_path / "out"], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if "interrupted" in done.stdout:  # else it was faster
        assert not (tmp_path / "out").exists()
        dsv4.convert(MINI, tmp_path / "out", weight_format="fp32", notice=lambda line: None)


def test_another_release_of_openvino_is_named(tmp_path):
    package = tmp_path / "openvino-2025.1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: openvino\nVersion: 2025.1.0\n")
    environment = dict(os.environ, PYTHONPATH=f"{tmp_path}{os.pathsep}{PACKAGES}")
    script = "import dsv4\ntry: dsv4.Engine('x')\nexcept dsv4.Error as error: print(error)"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert "2025.1.0" in done.stdout and "pip install openvino==" in done.stdout, done.stderr
