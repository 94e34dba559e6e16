# docs/upstream.md's findings, each by its script: a test that fails says that the pinned version is without it, and docs/upstream.md is to be changed.
import importlib.util
import subprocess
import sys

import pytest

from goldens import REPOSITORY

SCRIPTS = sorted((REPOSITORY / "examples/upstream").glob("*.py"))
OPTIMUM = {"external_exporter"}  # needs optimum-intel, which only one of the environments has


@pytest.mark.full
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_finding_holds(script):
    if script.stem in OPTIMUM and importlib.util.find_spec("optimum") is None:
        pytest.skip("no optimum-intel in this environment")
    done = subprocess.run([sys.executable, script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, f"{script.name}: {done.stdout}{done.stderr[-2000:]}"


def test_every_script_is_in_the_document():
    text = (REPOSITORY / "docs/upstream.md").read_text()
    assert SCRIPTS
    for script in SCRIPTS:
        assert f"examples/upstream/{script.name}" in text
