# The Python API of dsv4: DeepSeek-V4 checkpoints to OpenVINO model folders, and running these.
"""dsv4: DeepSeek-V4 checkpoints as OpenVINO models.

    dsv4.convert("DeepSeek-V4-Flash", "flash-int4", weight_format="int4")

docs/python.md has the whole API. Everything raises ``dsv4.Error``, whose text is one line that says what is wrong and what to do.
"""
from __future__ import annotations

from ._conversion import convert
from ._library import Error, UsageError
from ._places import ops_library, program
from ._version import __version__

__all__ = ["Error", "UsageError", "__version__", "convert", "ops_library", "program"]
