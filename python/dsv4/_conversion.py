# convert(): from a checkpoint to a model folder.
from __future__ import annotations

import ctypes
import json
import os
import warnings
from typing import Any, Callable

from . import _library, _values


def convert(
    checkpoint: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    *,
    weight_format: str | None = None,
    progress: Callable[[int, int], object] | None = None,
    notice: Callable[[str], object] | None = None,
    sym: bool = False,
    group_size: int | None = None,
    ratio: float | None = None,
    all_layers: bool = False,
    group_size_fallback: str | None = None,
    backup_precision: str | None = None,
    selection: str | None = None,
    layers: int | None = None,
    disable_stateful: bool = False,
    experts: str | None = None,
    static_shape: tuple[int, int] | None = None,
    disable_convert_tokenizer: bool = False,
    program: str | None = None,
    from_: str | os.PathLike[str] | None = None,
    activations: str | None = None,
    cache: str | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Converts a published checkpoint to an OpenVINO model folder, as ``dsv4 convert`` does; the options have its names.

    checkpoint: directory with the safetensors files. out: folder to make; it appears under this name only when it is complete.
    weight_format: "fp32", "fp16", "int8", "int4", "mxfp4" or "published"; without it, what fits the checkpoint.
    progress(done, total): bytes of the weights file, from time to time, on a thread of the conversion. What it raises ends the conversion.
    notice(line): what there is to say; without it a ``UserWarning`` each.
    program: "portable" or "cpu", an IR of dsv4's operations, for which other programs load ``ops_library()``; with activations ("int8", "f32") and cache ("bf16",
    "f32"). from_: make that of a converted folder, whose weights file is linked; checkpoint is None then.
    static_shape: (rows, tokens), with disable_stateful. dry_run: check and measure, write nothing.
    Further options: any other of the command's, with underscores (``docs/command-line.md``).

    Returns what was read and written (with from_: the sizes alone): "weights" (a number of tensors), "checkpoint_bytes", "bin_bytes", "xml_bytes", "seconds" (with dry_run: expected, without
    the writing) and "forms", what became of the tensors of each type.
    Raises UsageError for options that do not fit each other, Error for what cannot be converted, KeyboardInterrupt on Ctrl-C. After an interruption the same call
    goes on where that one stopped.
    """
    named = dict(
        weight_format=weight_format, sym=sym, group_size=group_size, ratio=ratio, all_layers=all_layers, group_size_fallback=group_size_fallback,
        backup_precision=backup_precision, selection=selection, layers=layers, disable_stateful=disable_stateful, experts=experts,
        disable_convert_tokenizer=disable_convert_tokenizer, program=program, from_=from_, activations=activations, cache=cache, dry_run=dry_run, overwrite=overwrite, **options)
    if static_shape is not None:
        named["static_shape"] = ",".join(str(size) for size in static_shape)
    named["model"] = None if checkpoint is None else os.fsdecode(_values.path(checkpoint, "checkpoint"))
    texts = [*_library.words(named), "--", os.fsdecode(_values.path(out, "out"))]
    words, count = _library.c_words(texts)
    lines: list[str] = []
    failure: list[BaseException] = []

    def run(stop: _library.Stop) -> str:
        def on_progress(done: int, total: int) -> None:
            try:
                if progress is not None and not failure:
                    progress(done, total)
            except BaseException as error:  # noqa: BLE001  raised when the conversion has stopped
                failure.append(error)
                stop.request()

        report = ctypes.c_char_p()
        on_line = _library.Notice(lambda text: lines.append(text.decode(errors="replace")))
        told = _library.Progress(on_progress)
        outcome = _library.library().dsv4_convert(words, count, stop.handle, told, on_line, ctypes.byref(report))
        if failure:
            raise failure[0]
        _library.check(outcome)
        return (report.value or b"{}").decode()

    try:
        return json.loads(_library.interruptible(run))
    finally:
        for text in lines:
            if notice is None:
                warnings.warn(text, stacklevel=2)
            else:
                notice(text)
