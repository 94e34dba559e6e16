# Running the program under test, dsv4, and reading what it prints.
import json
import math
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from goldens import REPOSITORY

THREADS = "2"
# Of `run`: the CPU program without the roundings that it is fast with; no effect where the portable program runs.
EXACT = ("--activations", "f32", "--cache", "f32")


def executable():
    return Path(os.environ.get("DSV4_BIN", REPOSITORY / "build/release/dsv4")).resolve()


@dataclass
class Outcome:
    code: int
    out: str
    err: str


def start(*arguments, stdout=subprocess.PIPE, **options):
    """subprocess.run() of the program; `options` as there."""
    command = [executable(), *map(str, arguments)]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300, check=False, **options)


def run(*arguments, **options):
    """Any exit code; a signal shows as a negative one."""
    done = start(*arguments, **options)
    return Outcome(done.returncode, done.stdout, done.stderr)


def succeed(*arguments, **options):
    outcome = run(*arguments, **options)
    assert outcome.code == 0, f"dsv4 {' '.join(map(str, arguments))[:300]}: exit code {outcome.code}: {outcome.err}"
    return outcome


def refuse(*arguments, code=1, naming=(), **options):
    """The program must refuse: the exit code, nothing on stdout, one line on stderr with every text of `naming` in it. Returns the line."""
    outcome = run(*arguments, **options)
    assert outcome.code == code, f"exit code {outcome.code}, expected {code}: {outcome.err}"
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert len(lines) == 1, f"expected one line: {outcome.err}"
    assert lines[0].startswith("dsv4: error: ")
    for text in naming:
        assert str(text) in lines[0], f"{lines[0]!r} does not name {text!r}"
    return lines[0]


def bytes_of(text):
    """"2.50 kB" -> 2500.0, as far as its digits say."""
    number, unit = text.split()
    return float(number) * 1000 ** ["bytes", "kB", "MB", "GB", "TB"].index(unit)


def token_list(tokens):
    return ",".join(str(int(token)) for token in tokens)


def convert(checkpoint, output, *flags):
    return succeed("convert", "-m", checkpoint, output, *flags)


def verify(checkpoint, folder, *flags):
    return json.loads(succeed("verify", checkpoint, folder, "--json", "--threads", THREADS, *flags).out)


def generate(folder, prompt, count, *flags):
    """The JSON object of `dsv4 run`."""
    return json.loads(succeed("run", folder, "--tokens", token_list(prompt), "-n", count, "--json", "--threads", THREADS, *EXACT, *flags).out)


def logits(folder, tokens, file, *flags):
    """float32 [S,V] of `dsv4 run --logits`."""
    generate(folder, tokens, 0, "--logits", file, *flags)
    return np.load(file)


def bits_per_byte(folder, ids, text, directory):
    """Of `dsv4 perplexity` for the ids, all but the first of which make up the text."""
    file = directory / "ids"
    file.write_text(token_list(ids))
    nats = json.loads(succeed("perplexity", folder, "--tokens-file", file, "--json").out)["negative_log_likelihood"]
    return nats / math.log(2) / len(text.encode())
