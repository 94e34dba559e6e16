# dsv4_openvino as the build tree has it, in this process and in others.
import os
import subprocess
import sys
from pathlib import Path

import program
from goldens import REPOSITORY

PACKAGES = program.executable().parent / "python"


def use():
    if str(PACKAGES) not in sys.path:
        sys.path.insert(0, str(PACKAGES))


def environment(*first, last=()):
    """Of another Python: packages of `first` come before this environment's, those of `last` fill in what it lacks."""
    paths = [*map(str, first), str(PACKAGES), *map(str, last)]
    return dict(os.environ, PYTHONPATH=os.pathsep.join(paths), HF_HUB_OFFLINE="1")


def site_packages(environment_name):
    (folder,) = Path(REPOSITORY, "build", environment_name).glob("lib/python*/site-packages")
    return folder


def python(code, *arguments, **options):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, check=False, **options)
