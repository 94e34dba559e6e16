# Finds OpenVINO's libraries, loads libdsv4_python.so on top of them and turns what its functions return into exceptions.
"""Not part of the API."""
from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import importlib.util
import os
import threading
from pathlib import Path
from typing import Any, Callable

OPENVINO_VERSION = "2026.4.1"
HERE = Path(__file__).parent
PROGRAM = HERE / "bin" / "dsv4"
OPS_LIBRARY = HERE / "lib" / "libdsv4_ops.so"
DONE, USAGE, CANCELLED = 0, 2, 3  # of Status in python/binding/binding.h
TOKENIZERS_VARIABLE = "DSV4_TOKENIZERS_LIBRARY"

Progress = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64)
Notice = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


_POINTER, _NUMBER, _TEXT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_char_p
_WORDS = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64]
# Of python/binding: what each returns, a Status most of them, and takes.
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "last_line": (_TEXT, []),
    "version": (_TEXT, []),
    "stop_new": (_POINTER, []),
    "stop_request": (None, [_POINTER]),
    "stop_close": (None, [_POINTER]),
    "convert": (ctypes.c_int, [*_WORDS, _POINTER, Progress, Notice, _POINTER]),
    "engine_open": (ctypes.c_int, [_TEXT, *_WORDS, Notice, _POINTER]),
    "engine_close": (None, [_POINTER]),
    "engine_facts": (ctypes.c_int, [_POINTER, _POINTER]),
    "engine_is_end": (ctypes.c_int, [_POINTER, _NUMBER]),
    "tokenizer_open": (ctypes.c_int, [_TEXT, _POINTER]),
    "tokenizer_close": (None, [_POINTER]),
    "tokenizer_encode": (ctypes.c_int, [_POINTER, _TEXT, _NUMBER, ctypes.c_int, _POINTER, _POINTER]),
    "tokenizer_decode": (ctypes.c_int, [_POINTER, _POINTER, _NUMBER, ctypes.c_int, _POINTER, _POINTER]),
    "session_new": (ctypes.c_int, [_POINTER, _POINTER]),
    "session_close": (None, [_POINTER]),
    "session_feed": (ctypes.c_int, [_POINTER, _POINTER, _NUMBER, _NUMBER, _POINTER, _POINTER, _NUMBER]),
    "session_reset": (ctypes.c_int, [_POINTER]),
    "session_position": (_NUMBER, [_POINTER]),
    "session_room": (_NUMBER, [_POINTER]),
    "session_rewindable": (_NUMBER, [_POINTER]),
    "session_rewind": (ctypes.c_int, [_POINTER, _NUMBER]),
    "session_keep": (ctypes.c_int, [_POINTER, _NUMBER]),
    "session_kept": (ctypes.c_int, [_POINTER, _POINTER, _POINTER]),
    "session_truncate": (ctypes.c_int, [_POINTER, _NUMBER, _POINTER, _POINTER]),
    "session_fork": (ctypes.c_int, [_POINTER, _POINTER]),
    "session_save": (ctypes.c_int, [_POINTER, _POINTER]),
    "session_restore": (ctypes.c_int, [_POINTER, _POINTER]),
    "snapshot_read": (ctypes.c_int, [_TEXT, _POINTER]),
    "snapshot_write": (ctypes.c_int, [_POINTER, _TEXT]),
    "snapshot_position": (_NUMBER, [_POINTER]),
    "snapshot_close": (None, [_POINTER]),
    "generation_new": (ctypes.c_int, [_POINTER, _POINTER, _POINTER, _NUMBER, *_WORDS, _POINTER]),
    "generation_next": (ctypes.c_int, [_POINTER, _POINTER, _POINTER]),
    "generation_close": (None, [_POINTER]),
    "batch": (ctypes.c_int, [_POINTER, _POINTER, _POINTER, _POINTER, _NUMBER, *_WORDS, _NUMBER, _POINTER, _POINTER]),
}


class Error(Exception):
    """What cannot be done, in one line: what is wrong, where, and what to do."""


class UsageError(Error, ValueError):
    """An argument has a value that it cannot have; nothing was read or changed."""


Error.__module__ = UsageError.__module__ = "dsv4"  # where users import them from


def package_folder(name: str, distribution: str) -> Path:
    """The folder of an installed package, which is not imported for it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Error(f"the package {distribution} is not installed; run: pip install {distribution}=={OPENVINO_VERSION}")
    return Path(next(iter(spec.submodule_search_locations)))


def openvino_libraries() -> Path:
    """The folder of libopenvino of the installed OpenVINO, which has to be the release that dsv4 was built with."""
    folder = package_folder("openvino", "openvino")
    try:
        version = importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        version = OPENVINO_VERSION  # a copied folder, whose library says by its name what it is
    if version.split("-")[0] != OPENVINO_VERSION:
        raise Error(f"OpenVINO {version} is installed in {folder}, and dsv4 is built for {OPENVINO_VERSION} alone; run: pip install openvino=={OPENVINO_VERSION}")
    return folder / "libs"


def tokenizers_library(openvino_libs: Path) -> Path | None:
    """libopenvino_tokenizers.so where dsv4 would not find it by itself, beside OpenVINO; else nothing."""
    place = Path("openvino_tokenizers", "lib", "libopenvino_tokenizers.so")
    if os.environ.get(TOKENIZERS_VARIABLE) or (openvino_libs.parent.parent / place).is_file():
        return None
    spec = importlib.util.find_spec("openvino_tokenizers")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder).parent / place).is_file():
            return Path(folder).parent / place
    return None


def program_environment() -> dict[str, str]:
    """Of the program, which finds its libraries by itself only where all packages lie in one folder."""
    environment = dict(os.environ)
    libraries = openvino_libraries()
    if libraries.parent.parent != HERE.parent:
        before = environment.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = f"{libraries}{os.pathsep}{before}" if before else str(libraries)
    tokenizers = tokenizers_library(libraries)
    if tokenizers is not None:
        environment[TOKENIZERS_VARIABLE] = str(tokenizers)
    return environment


@functools.cache
def library() -> ctypes.CDLL:
    """libdsv4_python.so. libopenvino is loaded before it, by its path: everything in the process then shares that one."""
    libraries = openvino_libraries()
    tokenizers = tokenizers_library(libraries)
    if tokenizers is not None:
        os.environ[TOKENIZERS_VARIABLE] = str(tokenizers)
    path = HERE / "lib" / "libdsv4_python.so"
    try:
        for file in sorted(libraries.glob("libopenvino.so.*")):
            ctypes.CDLL(str(file))
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise Error(f"{path}: cannot be loaded: {error}; install dsv4 and openvino=={OPENVINO_VERSION} anew") from None
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(loaded, "dsv4_" + name)
        function.restype, function.argtypes = result, arguments
    return loaded


def line() -> str:
    """Of the last error of this thread."""
    return library().dsv4_last_line().decode(errors="replace") or "out of memory"


def check(outcome: int) -> None:
    """Raises what a function returned."""
    if outcome == DONE:
        return
    raise (UsageError if outcome == USAGE else Error)(line())


def words(options: dict[str, Any]) -> list[str]:
    """Options by their names in Python as the words of the command line: {"group_size": 64, "sym": True} -> ["--group-size=64", "--sym"]. None and False: not given."""
    result = []
    for name, value in options.items():
        option = "--" + name.rstrip("_").replace("_", "-")  # from_: `from` is a word of Python's
        if value is None or value is False:
            continue
        if value is True:
            result.append(option)
        elif isinstance(value, (list, tuple)):
            result += [f"{option}={one}" for one in value]
        else:
            result.append(f"{option}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    for word in result:
        if "\0" in word:
            raise UsageError(f"{word.split('=')[0]}: a text with a NUL character; leave it out")
    return result


def c_words(texts: list[str]) -> tuple[Any, int]:
    """For `const char* const*`."""
    return (ctypes.c_char_p * len(texts))(*(os.fsencode(text) for text in texts)), len(texts)


class Handle:
    """An object of the library. Who calls with it holds it, so that it is freed when nobody uses it any more, whoever closes it before."""

    def __init__(self, kind: str, make: Callable[[Any], int]) -> None:
        pointer = ctypes.c_void_p()
        check(make(ctypes.byref(pointer)))
        self._close = getattr(library(), f"dsv4_{kind}_close")
        self.pointer = pointer

    def __del__(self) -> None:
        if hasattr(self, "pointer"):
            self._close(self.pointer)


class Stop:
    """Asks a call in another thread to stop. Freed with the object."""

    def __init__(self) -> None:
        self._close = library().dsv4_stop_close
        self.handle = ctypes.c_void_p(library().dsv4_stop_new())

    def request(self) -> None:
        library().dsv4_stop_request(self.handle)

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self._close(self.handle)


def interruptible(call: Callable[[Stop], Any]) -> Any:
    """Runs `call` so that Ctrl-C ends it: Python takes signals between its own instructions only, so the call gets a thread, for whose end this one waits. On other
    threads than the main one, which gets no signals, the call is made at once. Returns what it returns, raises what it raises."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        return call(stop)
    result: list[Any] = []
    failure: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            result.append(call(stop))
        except BaseException as error:  # noqa: BLE001  raised again below
            failure.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="dsv4")
    interruption: BaseException | None = None
    asked = False
    while not done.is_set():  # nothing is freed under the call
        try:
            if not asked:
                asked = True
                thread.start()
            done.wait()
        except BaseException as error:  # noqa: BLE001  raised when the call has ended
            interruption = interruption or error
            stop.request()
            if thread.ident is None and not done.wait(0.1) and thread.ident is None:
                raise  # it has not begun
    thread.join()
    if interruption is not None:
        raise interruption
    if failure:
        raise failure[0]
    return result[0]
