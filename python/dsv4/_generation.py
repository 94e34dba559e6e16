# Texts as they are generated, one on a session or many at once.
from __future__ import annotations

import ctypes
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Iterator

from . import _library, _values

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ._session import Session

MOST_LOGPROBS = 20  # kMostLogprobs in include/dsv4/sampler.h


@dataclass(frozen=True)
class Token:
    """A token of a text, as it came."""

    token: int  #: its id
    text: str  #: what is certain now, whole characters only: may be empty, or of earlier tokens too. Empty where the folder has no tokenizer
    logprob: float | None  #: nats, at temperature 1; None where logprobs were not asked for
    top: list[tuple[int, float]]  #: the most likely ids with theirs, the most likely first
    finish_reason: str | None  #: of the last token: "stop" or "length"


@dataclass
class Generated:
    """What came of a prompt of a batch."""

    tokens: list[int] = field(default_factory=list)  #: new ones
    text: str = ""  #: theirs, up to a stop text; empty where the folder has no tokenizer
    finish_reason: str | None = None  #: "stop" or "length"
    logprobs: list[tuple[float, list[tuple[int, float]]]] = field(default_factory=list)  #: of each token, and of the most likely ones
    error: str | None = None  #: one line: what went wrong in an inference of it; there is no text then


class _Token(ctypes.Structure):
    """Token in python/binding/generation.cpp."""

    _fields_ = [
        ("token", ctypes.c_int64),
        ("logprob", ctypes.c_double),
        ("top_count", ctypes.c_int64),
        ("top", ctypes.c_int64 * MOST_LOGPROBS),
        ("top_logprobs", ctypes.c_double * MOST_LOGPROBS),
        ("text", ctypes.c_void_p),
        ("text_bytes", ctypes.c_int64),
        ("over", ctypes.c_int),
        ("finish_reason", ctypes.c_char_p),
    ]


def option_words(options: dict[str, Any]) -> list[str]:
    """As the command line has them."""
    named = dict(options)
    for name in ("max_new_tokens", "logprobs", "top_k", "seed"):
        if named.get(name) is not None:
            named[name] = _values.integer(named[name], name)
    stop = named.pop("stop", None)
    if stop is not None:
        named["stop"] = [_values.text(one, "stop").decode() for one in ([stop] if isinstance(stop, str) else stop)]
    tokens = named.pop("stop_tokens", None)
    if tokens is not None:
        named["stop_token"] = [int(one) for one in _values.ids([tokens] if isinstance(tokens, int) else tokens, "stop_tokens")]
    bias = named.pop("logit_bias", None)
    if bias is not None:
        if not hasattr(bias, "items"):
            raise _library.UsageError(f"logit_bias: {type(bias).__name__}; expected a dict of ids and values")
        named["logit_bias"] = [f"{_values.integer(token, 'logit_bias')}:{value}" for token, value in bias.items()]
    return _library.words(named)


class Generation(Iterator[Token]):
    """A text that is being generated: iterate for its tokens, or call ``run``. What there is of it so far is in tokens, text and finish_reason.

    The session must not be fed or taken back between two tokens: Error then. Leaving the loop early leaves the session behind the last token that was fed.
    """

    def __init__(self, session: Session, tokenizer: _library.Handle | None, prompt: npt.NDArray[np.int64], options: dict[str, Any]) -> None:
        self._session = session
        self._tokenizer = tokenizer  # held: the text is decoded with it
        self._prompt_length = prompt.size
        self._out = _Token()
        self._next = _library.library().dsv4_generation_next
        self._asked_logprobs = options.get("logprobs") is not None
        self._begun = False
        self.tokens: list[int] = []  #: ids so far
        self._pieces: list[str] = []
        self.finish_reason: str | None = None  #: "stop" or "length", once it is over
        words, count = _library.c_words(option_words(options))
        with session._exclusive() as pointer:
            self._held = session._handle  # which the library's object points to
            self._handle = _library.Handle("generation", lambda out: _library.library().dsv4_generation_new(
                pointer, tokenizer and tokenizer.pointer, prompt.ctypes.data, prompt.size, words, count, out))

    @property
    def text(self) -> str:
        """So far."""
        return "".join(self._pieces)

    def run(self) -> Generation:
        """Generates what is left; returns itself."""
        for _ in self:
            pass
        return self

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> Token:
        if self.finish_reason is not None:
            raise StopIteration
        out = self._out
        with self._session._exclusive():
            if self._begun or self._prompt_length <= 32:
                _library.check(self._next(self._handle.pointer, None, ctypes.byref(out)))
            else:
                _library.interruptible(lambda stop: _library.check(self._next(self._handle.pointer, stop.handle, ctypes.byref(out))))
            self._begun = True
            text = ctypes.string_at(out.text, out.text_bytes).decode(errors="replace") if out.text_bytes else ""
        self._pieces.append(text)
        if out.over:
            self.finish_reason = (out.finish_reason or b"length").decode()
        if out.token < 0:
            raise StopIteration
        self.tokens.append(out.token)
        top = [(out.top[i], out.top_logprobs[i]) for i in range(out.top_count)]
        return Token(out.token, text, out.logprob if self._asked_logprobs else None, top, self.finish_reason)


def run_batch(engine: _library.Handle, tokenizer: _library.Handle | None, prompts: list[npt.NDArray[np.int64]], options: list[str], parallel: int) -> list[Generated]:
    """All prompts by the library's scheduler."""
    import numpy as np

    if not prompts:
        return []
    ids = np.concatenate(prompts)
    counts = np.array([prompt.size for prompt in prompts], np.int64)
    words, count = _library.c_words(options)

    def run(stop: _library.Stop) -> str:
        out = ctypes.c_char_p()
        _library.check(_library.library().dsv4_batch(
            engine.pointer, tokenizer and tokenizer.pointer, ids.ctypes.data, counts.ctypes.data, len(prompts), words, count, parallel, stop.handle, ctypes.byref(out)))
        return (out.value or b"[]").decode()

    results = []
    for one in json.loads(_library.interruptible(run)):
        logprobs = [(entry["logprob"], [(top["token"], top["logprob"]) for top in entry["top"]]) for entry in one.pop("logprobs", [])]
        results.append(Generated(**one, logprobs=logprobs))
    return results
