# Model folders that live as long as the model that was loaded from them.
from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import dsv4

logger = logging.getLogger("dsv4_openvino")


class TemporaryFolder:
    """A place for model folders, deleted when nothing refers to it any more."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="dsv4-openvino-")
        self.path = Path(self._directory.name)


def convert(checkpoint: Path, out: Path, **options: Any) -> None:
    dsv4.convert(checkpoint, out, notice=logger.info, **options)


def is_fast(folder: Path) -> bool:
    """Whether a folder has the CPU program already."""
    return b'version="dsv4"' in (folder / "openvino_model.xml").read_bytes()


def fast(folder: Path, out: Path) -> None:
    """The folder's CPU program at `out`. The weights are linked, so this takes as long as making the graph does."""
    command = [sys.executable, "-m", "dsv4", "convert", "--program", "cpu", "--from", os.fspath(folder), os.fspath(out)]
    packages = os.pathsep.join(filter(None, (str(Path(dsv4.__file__).parent.parent), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(command, env=dict(os.environ, PYTHONPATH=packages), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"dsv4 convert ended with code {done.returncode}"]
        raise dsv4.Error(lines[-1].removeprefix("dsv4: error: "))
    for line in done.stderr.splitlines():
        logger.info(line)
