# What the program does in a process of its own: long computations that print one JSON object, and the console script `dsv4`.
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _library, _places, _values

if TYPE_CHECKING:
    from ._values import Ids

ERROR = "dsv4: error: "


def main() -> None:
    """The program in this one's place, with the same arguments."""
    try:
        path, environment = _places.program(), _library.program_environment()
    except _library.Error as error:
        sys.exit(f"{ERROR}{error}")
    os.execve(path, ["dsv4", *sys.argv[1:]], environment)


def inspect(path: str | os.PathLike[str], *, deep: bool = False) -> dict[str, Any]:
    """What a checkpoint or a model folder is, every file of it checked: what ``dsv4 inspect --json`` prints. deep: read every weight of a checkpoint too."""
    return _object("inspect", _library.words({"json": True, "deep": deep}), [path])


def verify(checkpoint: str | os.PathLike[str], folder: str | os.PathLike[str], *, tokens: Ids | None = None, text: str | None = None, **options: Any) -> dict[str, Any]:
    """A model folder against a plain forward of its checkpoint: what ``dsv4 verify --json`` prints; "passed" says whether they agree.

    tokens: ids [n], or text: what both are fed; without either, the ids that the command takes. The options are the command's, with underscores
    (tolerance=, program=, threads= ...). It needs as much memory as the checkpoint's layers in float32, one at a time, and runs in a process of its own.
    """
    return _on_text("verify", [checkpoint, folder], tokens, text, options, "text_file")


def perplexity(folder: str | os.PathLike[str], *, tokens: Ids | None = None, text: str | None = None, context: int | None = None, **options: Any) -> dict[str, Any]:
    """How well a model folder predicts a text: "perplexity", "nll_per_token" (nats), "negative_log_likelihood", "tokens", "windows".

    One of tokens, ids [n], and text. context: tokens of a window; without it all of them are one sequence. The options are those of ``dsv4 perplexity`` with
    underscores; program="cpu" runs dsv4's own, without it the folder's IR runs. It runs in a process of its own.
    """
    if (tokens is None) == (text is None):
        raise _library.UsageError("perplexity: give one of tokens and text")
    return _on_text("perplexity", [folder], tokens, text, {**options, "context": context}, "file")


def _on_text(command: str, paths: list[Any], tokens: Any, text: str | None, options: dict[str, Any], text_option: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="dsv4-") as folder:
        file = Path(folder, "input")
        if tokens is not None:
            file.write_text(",".join(str(token) for token in _values.ids(tokens)))
            options = {**options, "tokens_file": file}
        if text is not None:
            file.write_bytes(_values.text(text, "text"))
            options = {**options, text_option: file}
        return _object(command, _library.words({**options, "json": True}), paths)


def _object(command: str, words: list[str], paths: list[Any]) -> dict[str, Any]:
    """The JSON object that the program prints. Ctrl-C ends it."""
    places = [_values.path(path, "path") for path in paths]
    arguments = [_places.program(), command, *words, "--", *places]
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_library.program_environment()) as process:
        try:
            out, messages = process.communicate()
        except BaseException:
            process.kill()
            raise
    lines = messages.decode(errors="replace").splitlines()
    for line in lines:
        if line.startswith(ERROR):
            raise (_library.UsageError if process.returncode == _library.USAGE else _library.Error)(line[len(ERROR):])
    try:
        return json.loads(out)
    except ValueError:
        raise _library.Error(f"dsv4 {command}: ended with {process.returncode}: {' '.join(lines[-1:])[:500]}") from None
