# The Python API of dsv4: DeepSeek-V4 checkpoints to OpenVINO model folders, and running these.
"""dsv4: DeepSeek-V4 checkpoints as OpenVINO models.

    dsv4.convert("DeepSeek-V4-Flash", "flash-int4", weight_format="int4")
    engine = dsv4.Engine("flash-int4")
    for token in engine.generate("Once upon a time", max_new_tokens=64):
        print(token.text, end="", flush=True)

docs/python.md has the whole API. Everything raises ``dsv4.Error``, whose text is one line that says what is wrong and what to do.
"""
from __future__ import annotations

from ._conversion import convert
from ._engine import Engine
from ._generation import Generated, Generation, Token
from ._library import Error, UsageError
from ._places import ops_library, program
from ._program import inspect, perplexity, verify
from ._session import Session, Snapshot
from ._version import __version__

__all__ = [
    "Engine", "Error", "Generated", "Generation", "Session", "Snapshot", "Token", "UsageError", "__version__", "convert", "inspect", "ops_library",
    "perplexity", "program", "verify",
]
