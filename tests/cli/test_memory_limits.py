# dsv4 run with less address space than it needs: an error line or the right tokens, on one thread as on two, never a crash and never other tokens.
import resource

import pytest

import program

TOKENS = ",".join(str((i * 37 + 5) % 512) for i in range(2000))
MEGABYTE = 1 << 20


def outcome(folder, which, threads, megabytes=None):
    """Exit code, tokens, and the lines that are errors; without `megabytes` there is no limit."""
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * MEGABYTE, megabytes * MEGABYTE))
    done = program.run("run", folder, "--program", which, "--tokens", TOKENS, "-n", 4, "--ignore-eos", "--threads", threads,
                       preexec_fn=limit if megabytes else None)
    return done.code, done.out.strip(), [line for line in done.err.splitlines() if line.startswith("dsv4: error: ")]


def check(folder, which, threads, megabytes, right):
    code, tokens, errors = outcome(folder, which, threads, megabytes)
    where = (which, threads, megabytes)
    assert code in (0, 1), where
    if code == 0:
        assert tokens == right, where
    else:
        assert len(errors) == 1 and len(errors[0]) < 2000, where
    return code == 0


def least_that_is_enough(folder, which, threads, right):
    """Every limit that is tried is checked."""
    low, high = 20, 4000
    assert check(folder, which, threads, high, right)
    while high - low > 8:
        middle = (low + high) // 2
        if check(folder, which, threads, middle, right):
            high = middle
        else:
            low = middle
    return high


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("which", ["cpu", "portable"])
def test_too_little_memory_is_an_error(library, which, threads):
    folder = library.folder("toy", "--weight-format", "int4", "--group-size", "32")
    right = outcome(folder, which, 1)[1]
    assert right and outcome(folder, which, 2)[1] == right
    least_that_is_enough(folder, which, threads, right)


@pytest.mark.full
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("which", ["cpu", "portable"])
def test_every_limit_is_an_error_or_enough(library, which, threads):
    folder = library.folder("toy", "--weight-format", "int4", "--group-size", "32")
    right = outcome(folder, which, 1)[1]
    enough = least_that_is_enough(folder, which, threads, right)
    for megabytes in range(max(20, enough - 200), enough + 40, 5):
        check(folder, which, threads, megabytes, right)
