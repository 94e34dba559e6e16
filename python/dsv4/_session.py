# Session: one sequence on an engine; Snapshot: a copy of its state.
from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from typing import TYPE_CHECKING, Any, Iterator

from . import _library, _values
from ._generation import Generation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ._engine import Engine
    from ._values import Ids

SHORT = 32  # tokens that are fed at once, without a thread that Ctrl-C could end


class Snapshot:
    """The state of a sequence, copied: goes back into any session of the same folder and options of rounding, any number of times. Outlives its session and engine."""

    def __init__(self, handle: _library.Handle) -> None:
        self._handle = handle

    @property
    def position(self) -> int:
        """Tokens of the sequence."""
        return _library.library().dsv4_snapshot_position(self._handle.pointer)

    def write(self, file: str | os.PathLike[str]) -> None:
        """To a file, as ``dsv4 run --save`` does; it appears under its name only when it is complete."""
        _library.check(_library.library().dsv4_snapshot_write(self._handle.pointer, _values.path(file, "file")))

    @staticmethod
    def read(file: str | os.PathLike[str]) -> Snapshot:
        """Of such a file. Error when it is none or is damaged."""
        place = _values.path(file, "file")
        return Snapshot(_library.Handle("snapshot", lambda out: _library.library().dsv4_snapshot_read(place, out)))

    def __repr__(self) -> str:
        return f"<dsv4.Snapshot at {self.position}>"


class Session:
    """One sequence on an engine: tokens in, logits out, its state kept between calls.

    For one thread at a time: a call while another thread is in one raises Error. Sessions of one engine are independent of each other.
    """

    def __init__(self, engine: Engine) -> None:
        opened = engine._opened()
        self._set(engine, _library.Handle("session", lambda out: _library.library().dsv4_session_new(opened.pointer, out)))

    def _set(self, engine: Engine, handle: _library.Handle) -> None:
        self._engine = engine
        self._handle: _library.Handle | None = handle
        self._busy = threading.Lock()

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def position(self) -> int:
        """Tokens so far."""
        with self._exclusive() as session:
            return _library.library().dsv4_session_position(session)

    @property
    def room(self) -> int:
        """Tokens that can still be fed."""
        with self._exclusive() as session:
            return _library.library().dsv4_session_room(session)

    @property
    def rewindable(self) -> int:
        """Most tokens that ``rewind`` takes back now."""
        with self._exclusive() as session:
            return _library.library().dsv4_session_rewindable(session)

    def feed(self, tokens: Ids, *, chunk: int | None = None) -> npt.NDArray[np.float32]:
        """Appends token ids and returns logits, float32: of the last one [1,V], or of each [n,V] if the engine has all_logits.

        tokens: integers [n], each from 0 to V - 1, at least one. chunk: most of them an inference; more need more memory.
        Error, the session as it was, for ids that are none and more tokens than ``room``. After an inference that failed the state is lost: reset() or restore().
        Ctrl-C ends it between two inferences: the session then has as many tokens as ``position`` says.
        """
        import numpy as np

        ids = _values.ids(tokens)
        most = self._engine._facts["prompt_chunk"] if chunk is None else _values.integer(chunk, "chunk")
        if most < 1:
            raise _library.UsageError(f"chunk: {most}; expected 1 or more")
        with self._exclusive() as session:
            rows = ids.size if self._engine.all_logits else 1
            try:
                logits = np.empty((rows, self._engine.vocab_size), np.float32)
            except MemoryError:
                raise _library.Error(f"no memory for the logits of {rows} tokens; feed fewer at a time") from None

            def run(stop: _library.Stop | None) -> int:
                outcome = _library.library().dsv4_session_feed(session, ids.ctypes.data, ids.size, most, stop and stop.handle, logits.ctypes.data, logits.size)
                return _library.check(outcome)

            run(None) if ids.size <= SHORT else _library.interruptible(run)
        return logits

    def generate(
        self,
        prompt: str | Ids,
        *,
        max_new_tokens: int = 32,
        ignore_eos: bool = False,
        stop: str | list[str] | None = None,
        stop_tokens: int | Ids | None = None,
        logprobs: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
        repetition_penalty: float | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        logit_bias: dict[int, float] | None = None,
        **options: Any,
    ) -> Generation:
        """A text that goes on from here and the prompt: an iterator of Token, which computes the next one when it is asked for. Greedy without a temperature.

        prompt: text, of which the ids get BOS in front at the start of a sequence, or ids [n].
        stop: texts before which it ends. stop_tokens: ids with which it ends, beside the model's own (not these: ignore_eos).
        logprobs: log-probabilities (nats) of each token and of so many most likely ones, 0 to 20.
        The others are those of ``dsv4 run``: docs/sampling.md. The last token is not fed: ``position`` is then one less than what was generated, as in the C++ API.
        """
        ids = self._engine._prompt(prompt, "prompt", self.position == 0)
        named = dict(
            max_new_tokens=max_new_tokens, ignore_eos=ignore_eos, stop=stop, stop_tokens=stop_tokens, logprobs=logprobs, temperature=temperature,
            top_k=top_k, top_p=top_p, min_p=min_p, seed=seed, repetition_penalty=repetition_penalty, presence_penalty=presence_penalty,
            frequency_penalty=frequency_penalty, logit_bias=logit_bias, **options)
        return Generation(self, self._engine._text_or_none(), ids, named)

    def reset(self) -> None:
        """Starts a new sequence."""
        with self._exclusive() as session:
            _library.check(_library.library().dsv4_session_reset(session))

    def rewind(self, count: int) -> None:
        """Takes the last tokens back, at no cost: at most ``rewindable``. Error for more; the portable program has none."""
        number = _values.integer(count, "count")
        with self._exclusive() as session:
            _library.check(_library.library().dsv4_session_rewind(session, number))

    def keep(self, most: int = 8) -> None:
        """Keeps the state as it is, for ``truncate``. Of more than ``most`` kept states the oldest goes."""
        number = _values.integer(most, "most")
        with self._exclusive() as session:
            _library.check(_library.library().dsv4_session_keep(session, number))

    def kept(self) -> list[int]:
        """Positions of the states that are kept, ascending."""
        with self._exclusive() as session:
            out, count = ctypes.c_void_p(), ctypes.c_int64()
            _library.check(_library.library().dsv4_session_kept(session, ctypes.byref(out), ctypes.byref(count)))
            return list(ctypes.cast(out, ctypes.POINTER(ctypes.c_int64))[: count.value]) if out.value else []

    def truncate(self, position: int) -> int:
        """Goes back to a position, from the nearest kept state or the start; returns how many tokens were fed again for it. Ctrl-C as in ``feed``."""
        number = _values.integer(position, "position")
        with self._exclusive() as session:
            fed = ctypes.c_int64()
            _library.interruptible(
                lambda stop: _library.check(_library.library().dsv4_session_truncate(session, number, stop.handle, ctypes.byref(fed))))
            return fed.value

    def fork(self) -> Session:
        """A second session that goes on from where this one is; what they have in common is in memory once until one of them writes to it."""
        with self._exclusive() as session:
            handle = _library.Handle("session", lambda out: _library.library().dsv4_session_fork(session, out))
        other = Session.__new__(Session)
        other._set(self._engine, handle)
        return other

    def save(self, file: str | os.PathLike[str] | None = None) -> Snapshot:
        """A copy of the state; also written to ``file``, if one is given."""
        with self._exclusive() as session:
            snapshot = Snapshot(_library.Handle("snapshot", lambda out: _library.library().dsv4_session_save(session, out)))
        if file is not None:
            snapshot.write(file)
        return snapshot

    def restore(self, snapshot: Snapshot | str | os.PathLike[str]) -> None:
        """Goes on from a snapshot, or from a file of one. Error, with nothing changed, for one that is damaged or of another folder or other options."""
        if not isinstance(snapshot, Snapshot):
            snapshot = Snapshot.read(snapshot)
        with self._exclusive() as session:
            _library.check(_library.library().dsv4_session_restore(session, snapshot._handle.pointer))

    def close(self) -> None:
        """Gives its memory back. Error while another thread is in a call of it."""
        if self._handle is None:
            return
        with self._exclusive():
            self._handle = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[ctypes.c_void_p]:
        """The session for one call."""
        if not self._busy.acquire(blocking=False):
            raise _library.Error("the session is in use by another thread; give every thread one of its own (Session.fork makes one)")
        try:
            handle = self._handle
            if handle is None:
                raise _library.Error("the session is closed; make another with Engine.session()")
            yield handle.pointer
        finally:
            self._busy.release()
