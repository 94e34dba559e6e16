# Values that a user gives, checked before the library sees them: what gets through is an int64 array, an integer of 64 bits, a text or a path.
from __future__ import annotations

import operator
import os
from typing import TYPE_CHECKING, Any, Sequence, Union

from ._library import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ids = Union[Sequence[int], npt.NDArray[np.integer[Any]]]

LIMIT = 1 << 63


def integer(value: Any, name: str) -> int:
    """An integer that fits 64 bits."""
    try:
        number = operator.index(value)
    except TypeError:
        raise UsageError(f"{name}: {type(value).__name__}; expected an integer") from None
    if not -LIMIT <= number < LIMIT:
        raise UsageError(f"{name}: {str(number)[:40]}; expected an integer of 64 bits")
    return number


def ids(values: Any, name: str = "tokens") -> npt.NDArray[np.int64]:
    """Token ids as a contiguous int64 [n]; a copy only where they are something else."""
    import numpy as np

    kind = type(values).__name__
    if isinstance(values, (str, bytes)):
        raise UsageError(f"{name}: {kind}; expected token ids (Engine.encode makes them of text)")
    if hasattr(values, "__cuda_array_interface__") or getattr(getattr(values, "device", None), "type", "cpu") != "cpu":
        raise UsageError(f"{name}: {kind} on a device; copy it to the host, such as with .cpu()")
    try:
        array = np.asarray(values)
    except Exception as error:  # noqa: BLE001  ragged lists, tensors that are no arrays
        raise UsageError(f"{name}: {kind} that is no array: {' '.join(str(error).split())[:300]}; expected a list of integers or an integer array [n]") from None
    if array.ndim != 1:
        raise UsageError(f"{name}: shape {list(array.shape)}; expected [n], one sequence")
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu":
        raise UsageError(f"{name}: {array.dtype}; expected integers")
    if array.dtype.kind == "u" and array.dtype.itemsize == 8 and int(array.max()) >= LIMIT:
        raise UsageError(f"{name}: an id of {int(array.max())}; expected integers of 64 bits")
    return np.ascontiguousarray(array, dtype=np.int64)


def path(value: Any, name: str) -> bytes:
    """Of a file or folder, for the library."""
    try:
        encoded = os.fsencode(value)
    except (TypeError, UnicodeEncodeError):
        raise UsageError(f"{name}: {type(value).__name__}; expected a path") from None
    if not encoded or b"\0" in encoded:
        raise UsageError(f"{name}: an empty path, or one with a NUL character")
    return encoded


def text(value: Any, name: str) -> bytes:
    """UTF-8."""
    if not isinstance(value, str):
        raise UsageError(f"{name}: {type(value).__name__}; expected str")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{name}: character {error.start} is half of a surrogate pair; expected Unicode text") from None
