# The Python package as the build tree has it (build/release/python, or python/ beside DSV4_BIN; or DSV4_PACKAGES), in this process.
import os
import sys
from pathlib import Path

import pytest

import program

PACKAGES = Path(os.environ.get("DSV4_PACKAGES", program.executable().parent / "python"))
sys.path.insert(0, str(PACKAGES))


@pytest.fixture(scope="session", autouse=True)
def built_package():
    library = PACKAGES / "dsv4" / "lib" / "libdsv4_python.so"
    if not library.is_file():
        pytest.exit(f"{library} is not there: build the target python_module first", returncode=1)


@pytest.fixture(scope="session")
def mini(library):
    """A trained model with a tokenizer, INT8."""
    return library.folder("mini", "--weight-format", "int8")


@pytest.fixture(scope="session")
def engine(mini):
    import dsv4

    return dsv4.Engine(mini, threads=2)


@pytest.fixture(scope="session")
def exact(mini):
    """Logits of every position, without the roundings that the CPU program is fast with."""
    import dsv4

    return dsv4.Engine(mini, threads=2, all_logits=True, activations="f32", cache="f32")
