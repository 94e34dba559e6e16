# Engine: a model folder, opened. Its sessions are in _session.py, its texts in _generation.py.
from __future__ import annotations

import ctypes
import json
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any, Callable

from . import _library, _values
from ._generation import Generated, Generation, option_words, run_batch
from ._session import Session

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ._values import Ids


class Engine:
    """A loaded model: weights, compiled program, options. Nothing of it changes once it is open; threads may share it.

    folder: made by ``dsv4.convert``. The options are those of ``dsv4 run``, with underscores:
    program: "auto", "cpu" (dsv4's own operations over the mapped weights) or "portable" (the folder's openvino_model.xml).
    threads: of inferences; 0: as many as there are processors. context: most tokens of a sequence; 0: what the model was made for.
    all_logits: ``Session.feed`` returns a row for every token instead of one for the last.
    activations: "int8" or "f32"; cache: "bf16" or "f32" (f32 both: exact and slower). quantize_cache: as the model was trained.
    weights: "auto", "map", "load", "lock" or "stream"; expert_cache: GB, and expert_profile: a file, of "stream".
    device: of the portable program. notice(line): what there is to say while it opens; without it a ``UserWarning`` each.

    Raises UsageError for options that do not fit, Error for a folder that is none or is damaged.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        program: str | None = None,
        threads: int | None = None,
        context: int | None = None,
        all_logits: bool = False,
        activations: str | None = None,
        cache: str | None = None,
        quantize_cache: bool = False,
        weights: str | None = None,
        expert_cache: float | None = None,
        expert_profile: str | os.PathLike[str] | None = None,
        device: str | None = None,
        notice: Callable[[str], object] | None = None,
        **options: Any,
    ) -> None:
        self._handle: _library.Handle | None = None
        place = _values.path(folder, "folder")
        words, count = _library.c_words(_library.words(dict(
            program=program, threads=threads, context=context, all_logits=all_logits, activations=activations, cache=cache,
            quantize_cache=quantize_cache, weights=weights, expert_cache=expert_cache, expert_profile=expert_profile, device=device, **options)))
        lines: list[str] = []

        def run(_: _library.Stop) -> _library.Handle:
            told = _library.Notice(lambda line: lines.append(line.decode(errors="replace")))
            return _library.Handle("engine", lambda out: _library.library().dsv4_engine_open(place, words, count, told, out))

        try:
            self._handle = _library.interruptible(run)
        finally:
            for line in lines:
                warnings.warn(line, stacklevel=2) if notice is None else notice(line)
        facts = ctypes.c_char_p()
        _library.check(_library.library().dsv4_engine_facts(self._handle.pointer, ctypes.byref(facts)))
        self._facts: dict[str, Any] = json.loads(facts.value or b"{}")
        self._folder = os.fsdecode(place)
        self._tokenizer: _library.Handle | None = None
        self._tokenizer_lock = threading.Lock()
        self._no_text = False

    @property
    def folder(self) -> str:
        """As it was given."""
        return self._folder

    @property
    def program(self) -> str:
        """"cpu" or "portable"."""
        return self._facts["program"]

    @property
    def vocab_size(self) -> int:
        """V: ids are from 0 to V - 1."""
        return self._facts["vocab_size"]

    @property
    def context(self) -> int:
        """Most tokens of a sequence."""
        return self._facts["context"]

    @property
    def all_logits(self) -> bool:
        """Whether ``Session.feed`` returns a row for every token."""
        return self._facts["all_logits"]

    @property
    def stateful(self) -> bool:
        """False: the prefill-only form, which runs the whole sequence every time."""
        return self._facts["stateful"]

    @property
    def threads(self) -> int:
        """That inferences run on."""
        return self._facts["threads"]

    @property
    def open_seconds(self) -> float:
        """That opening took."""
        return self._facts["open_seconds"]

    def is_end(self, token: int) -> bool:
        """Whether the id is one of the model's end-of-sequence tokens."""
        return bool(_library.library().dsv4_engine_is_end(self._opened().pointer, _values.integer(token, "token")))

    def session(self) -> Session:
        """A new, empty sequence."""
        return Session(self)

    def encode(self, text: str, *, add_bos: bool = True) -> npt.NDArray[np.int64]:
        """Token ids of a text, int64 [n]. Strings of special tokens stand for these. add_bos: put the beginning-of-sequence token in front where it is missing."""
        import numpy as np

        tokenizer = self._text()
        encoded = _values.text(text, "text")
        out, count = ctypes.c_void_p(), ctypes.c_int64()
        _library.check(_library.library().dsv4_tokenizer_encode(tokenizer.pointer, encoded, len(encoded), add_bos, ctypes.byref(out), ctypes.byref(count)))
        if not count.value or not out.value:
            return np.empty(0, np.int64)
        return np.ctypeslib.as_array(ctypes.cast(out, ctypes.POINTER(ctypes.c_int64)), (count.value,)).copy()

    def decode(self, tokens: Ids, *, skip_special: bool = True) -> str:
        """Text of ids. Bytes that are no UTF-8 become U+FFFD; ids that the vocabulary lacks give nothing."""
        tokenizer = self._text()
        ids = _values.ids(tokens)
        out, count = ctypes.c_void_p(), ctypes.c_int64()
        _library.check(_library.library().dsv4_tokenizer_decode(tokenizer.pointer, ids.ctypes.data, ids.size, skip_special, ctypes.byref(out), ctypes.byref(count)))
        return ctypes.string_at(out, count.value).decode(errors="replace") if out.value else ""

    def generate(self, prompt: str | Ids, **options: Any) -> Generation:
        """A text that goes on from a prompt, token by token, on a sequence of its own. The options are those of ``Session.generate``."""
        return self.session().generate(prompt, **options)

    def generate_batch(self, prompts: list[str] | list[Ids], *, parallel: int = 8, **options: Any) -> list[Generated]:
        """Texts of several prompts, up to ``parallel`` of them at a time in one inference: each what ``generate`` gives for it alone.

        The options are those of ``Session.generate``, for all. Returns a Generated a prompt, in their order. What is wrong with a prompt is an Error that says with
        which; of what goes wrong later, in an inference, Generated.error has the line. Ctrl-C ends all of it.
        """
        handle = self._opened()
        if isinstance(prompts, str):
            raise _library.UsageError("prompts: a str; expected a list of texts or of lists of ids")
        all_ids = [self._prompt(prompt, f"prompt {i}", True) for i, prompt in enumerate(prompts)]
        tokenizer = self._text_or_none()
        return run_batch(handle, tokenizer, all_ids, option_words(options), _values.integer(parallel, "parallel"))

    def close(self) -> None:
        """Gives the model back when its last session is gone too. A closed engine makes no more sessions; those that are there go on."""
        self._handle = self._tokenizer = None

    def __enter__(self) -> Engine:
        self._opened()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<dsv4.Engine {self._folder!r}, {self.program}{'' if self._handle else ', closed'}>"

    def _opened(self) -> _library.Handle:
        handle = self._handle
        if handle is None:
            raise _library.Error(f"the engine of {self._folder} is closed; open the folder again")
        return handle

    def _text(self) -> _library.Handle:
        """Opened when it is first needed: ids do not need one."""
        self._opened()
        with self._tokenizer_lock:
            if self._tokenizer is None:
                place = os.fsencode(self._folder)
                self._tokenizer = _library.Handle("tokenizer", lambda out: _library.library().dsv4_tokenizer_open(place, out))
            return self._tokenizer

    def _text_or_none(self) -> _library.Handle | None:
        """Nothing where the folder has no tokenizer that can be used: ids go through without one, and texts do not get this far."""
        if self._no_text:
            return None
        try:
            return self._text()
        except _library.Error:
            self._no_text = True
            return None

    def _prompt(self, prompt: str | Ids, name: str, begins: bool) -> npt.NDArray[np.int64]:
        """Its ids; of a text with BOS where it begins a sequence."""
        return self.encode(prompt, add_bos=begins) if isinstance(prompt, str) else _values.ids(prompt, name)
