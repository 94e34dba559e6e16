# --threads from the outside: more than the machine has cores, and a process that may use one of them.
import json
import os

import numpy as np
import pytest

import goldens
import program

INT4 = ("toy", "--weight-format", "int4", "--group-size", "32")


def one_core():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def answer(folder, threads, file, *flags, **options):
    """What `run` generates, and the logits of the prompt."""
    tokens = program.token_list(goldens.load("toy").tokens[:150])
    out = program.succeed("run", folder, "--tokens", tokens, "-n", 12, "--ignore-eos", "--threads", threads, "--logits", file, "--json", *flags, **options).out
    return json.loads(out)["tokens"], np.load(file)


@pytest.mark.parametrize("activations", ["int8", "f32"])
def test_the_cpu_program_gives_the_same_bits(library, tmp_path, activations):
    folder, flags = library.folder(*INT4), ("--program", "cpu", "--activations", activations)
    tokens, logits = answer(folder, 1, tmp_path / "logits.npy", *flags)
    for threads in (2, 64, 4096):
        for options in ({}, {"preexec_fn": one_core}):
            again, other = answer(folder, threads, tmp_path / "logits.npy", *flags, **options)
            assert again == tokens and other.tobytes() == logits.tobytes(), (threads, options)


def test_the_portable_program_runs(library, tmp_path):
    folder = library.folder(*INT4)
    _, logits = answer(folder, 1, tmp_path / "logits.npy", "--program", "portable")
    for options in ({}, {"preexec_fn": one_core}):
        _, other = answer(folder, 64, tmp_path / "logits.npy", "--program", "portable", **options)
        assert np.abs(other - logits).max() < 1e-3


def test_bench_says_how_many_run(library):
    def threads(asked, **options):
        out = program.succeed("bench", library.folder(*INT4), "-p", 4, "-n", 2, "--repeats", 1, "--threads", asked, "--json", **options).out
        return json.loads(out)["threads"]

    processors = len(os.sched_getaffinity(0))
    assert threads(1) == 1
    assert min(2, processors) <= threads(4096) <= processors  # OpenVINO may leave SMT siblings out
    assert threads(64, preexec_fn=one_core) == 1


def test_a_number_beyond_all_machines_is_refused():
    program.refuse("run", "none", "--tokens", "1", "--threads", 4097, code=2, naming=["--threads", "4096"])
