# dsv4 run with less address space than it needs: an error line or the right tokens, on one thread as on two, never a crash and never other tokens.
import resource

import pytest

import program

MEGABYTE = 1 << 20


def limited(megabytes, *arguments):
    """Exit code, stdout, and the lines that are errors; megabytes None: without a limit."""
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * MEGABYTE, megabytes * MEGABYTE))
    done = program.run(*arguments, preexec_fn=limit if megabytes else None)
    return done.code, done.out.strip(), [line for line in done.err.splitlines() if line.startswith("dsv4: error: ")]


def outcome(case, threads, megabytes=None):
    folder, which, tokens = case
    return limited(megabytes, "run", folder, "--program", which, "--tokens", tokens, "-n", 4, "--ignore-eos", "--threads", threads)


def prompt(count):
    return ",".join(str((i * 37 + 5) % 512) for i in range(count))


def check(case, threads, megabytes, right):
    code, tokens, errors = outcome(case, threads, megabytes)
    where = (case[1], threads, megabytes)
    if code == 127:  # too little for the program to begin at all, which the system's loader says
        assert megabytes < 200 and not tokens and not errors, where
        return False
    assert code in (0, 1), where
    if code == 0:
        assert tokens == right, where
    else:  # what was generated before is printed
        assert right.startswith(tokens) and len(errors) == 1 and len(errors[0]) < 2000, where
    return code == 0


def least_that_is_enough(case, threads, right, step):
    """Every limit that is tried is checked."""
    low, high = 20, 3000
    assert check(case, threads, high, right)
    while high - low > step:
        middle = (low + high) // 2
        if check(case, threads, middle, right):
            high = middle
        else:
            low = middle
    return high


@pytest.fixture
def int4(library):
    return library.folder("toy", "--weight-format", "int4", "--group-size", "32")


@pytest.mark.parametrize("threads", [1, 2])
def test_too_little_memory_is_an_error(int4, threads):
    case = (int4, "cpu", prompt(400))
    right = outcome(case, 1)[1]
    assert right and outcome(case, 2)[1] == right
    least_that_is_enough(case, threads, right, 16)


@pytest.mark.parametrize("threads", [1, 2])
def test_too_little_memory_for_the_portable_program_is_an_error(int4, threads):
    case = (int4, "portable", prompt(2000))
    right = outcome(case, 2)[1]
    for megabytes in (355, 380, 405):  # where this was written it opens, and the prompt does not fit
        check(case, threads, megabytes, right)


@pytest.mark.full
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("which", ["cpu", "portable"])
def test_every_limit_is_an_error_or_enough(int4, which, threads):
    case = (int4, which, prompt(2000))
    right = outcome(case, 1)[1]
    enough = least_that_is_enough(case, threads, right, 4)
    for megabytes in range(max(20, enough - 200), enough + 40, 5):
        check(case, threads, megabytes, right)


@pytest.mark.full
@pytest.mark.parametrize("command", ["bench", "perplexity", "verify"])
def test_other_commands_say_so_too(library, int4, tmp_path, command):
    (tmp_path / "tokens").write_text(prompt(300))
    arguments = {"bench": ["bench", int4, "-p", 300, "-n", 4, "--repeats", 1, "--program", "portable"],
                 "perplexity": ["perplexity", int4, "--tokens-file", tmp_path / "tokens"],
                 "verify": ["verify", library.golden("toy").checkpoint, int4, "--tokens-file", tmp_path / "tokens"]}[command]
    assert limited(None, *arguments)[0] == 0
    failed = 0
    for threads in (1, 2):
        for megabytes in range(100, 600, 25):
            code, _, errors = limited(megabytes, *arguments, "--threads", threads)
            assert code == 0 or (code == 1 and len(errors) == 1), (threads, megabytes, code)
            failed += code
    assert failed > 4
