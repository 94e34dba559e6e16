# Where the files that come with the package lie.
from __future__ import annotations

from . import _library


def ops_library() -> str:
    """The path of libdsv4_ops.so: dsv4's operations for other OpenVINO programs, as ``core.add_extension(dsv4.ops_library())`` or
    ``openvino_genai.LLMPipeline(folder, "CPU", extensions=[dsv4.ops_library()])``."""
    return _existing(_library.OPS_LIBRARY)


def program() -> str:
    """The path of the program ``dsv4``."""
    return _existing(_library.PROGRAM)


def _existing(path) -> str:
    if not path.is_file():
        raise _library.Error(f"{path}: not found; install dsv4 anew")
    return str(path)
