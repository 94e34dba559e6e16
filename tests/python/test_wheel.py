# The wheel that `make wheel` makes, in fresh environments without the repository: convert, run, API, GenAI; twice installed, uninstalled, spread over folders.
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import goldens

MINI = goldens.CHECKPOINTS["mini"]


def runs(python):
    return subprocess.run([python, "-c", "import venv, ssl"], capture_output=True, check=False).returncode == 0


def pythons():
    """CPython 3.10 to 3.13, those that are there: on PATH, or as pyenv keeps them."""
    for minor in range(10, 14):
        name = f"python3.{minor}"
        places = [shutil.which(name), *sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/{name}"))]
        yield from [str(place) for place in places if place and runs(place)][:1]


PYTHONS = list(pythons())
USE = """
import json, sys
first, second = sys.argv[1:3]
__import__(first), __import__(second)
import dsv4, openvino
checkpoint, out = sys.argv[3:5]
dsv4.convert(checkpoint, out, weight_format="int8", notice=print)
engine = dsv4.Engine(out, threads=2)
text = engine.generate("In the beginning God", max_new_tokens=8).run().text
libraries = {line.split()[-1] for line in open("/proc/self/maps") if "libopenvino.so" in line}
core = openvino.Core()
core.add_extension(dsv4.ops_library())
compiled = core.compile_model(out + "/openvino_model.xml", "CPU")
print(json.dumps([text, len(libraries), dsv4.__file__, dsv4.perplexity(out, text="And God said", program="cpu")["tokens"]]))
"""


def clean():
    """The environment of a user who knows nothing of this repository."""
    return {name: value for name, value in os.environ.items() if name in ("HOME", "PATH", "TMPDIR") or name.startswith(("PIP_", "SSL_", "HTTP", "http", "REQUESTS_"))}


def call(folder, *command, **environment):
    done = subprocess.run([str(part) for part in command], cwd=folder, env={**clean(), **environment}, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    for command in (["tools/test-venv.sh", "wheel"], ["tools/wheel.py", folder]):
        subprocess.run([str(part) for part in command], cwd=goldens.REPOSITORY, check=True, timeout=900)
    wheels = list(folder.iterdir())
    assert len(wheels) == 1
    return wheels[0]


@pytest.fixture
def fresh(tmp_path, wheel):
    """venv with the wheel, of a Python."""

    def make(python=sys.executable, *packages):
        venv = tmp_path / "venv"
        call(tmp_path, python, "-m", "venv", venv)
        call(tmp_path, venv / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel, *packages)
        return venv / "bin"

    return make


def test_versions_agree():
    project = tomllib.loads((goldens.REPOSITORY / "pyproject.toml").read_text())
    cmake = (goldens.REPOSITORY / "CMakeLists.txt").read_text()
    assert f"project(dsv4 VERSION {project['project']['version']} " in cmake
    release = (goldens.REPOSITORY / "cmake/Dsv4OpenVINO.cmake").read_text().split("DSV4_OPENVINO_VERSION ")[1].split(")")[0]
    assert {f"openvino=={release}", f"openvino-tokenizers=={release}.0"} <= set(project["project"]["dependencies"])
    assert f"{project['build-system']['requires'][0]} " in (goldens.REPOSITORY / "tests/requirements/wheel.txt").read_text()


@pytest.mark.full
def test_full_holds_what_is_needed_and_nothing_of_the_build(wheel):
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        assert {"dsv4/bin/dsv4", "dsv4/lib/libdsv4_ops.so", "dsv4/lib/libdsv4_python.so", "dsv4/__init__.py", "dsv4/py.typed"} <= set(names)
        assert not [name for name in names if "libopenvino" in name or "libtbb" in name or name.endswith((".cpp", ".h", ".a"))]
    assert wheel.name.startswith("dsv4-") and "-py3-none-manylinux_2_" in wheel.name and wheel.name.endswith("_x86_64.whl")


@pytest.mark.full
@pytest.mark.parametrize("python", PYTHONS, ids=lambda python: Path(python).name)
def test_full_works_in_a_fresh_environment(fresh, tmp_path, python):
    bin_folder = fresh(python)
    for number, order in enumerate((("dsv4", "openvino"), ("openvino", "dsv4"))):
        out = call(tmp_path, bin_folder / "python", "-c", USE, *order, MINI, tmp_path / f"out{number}")
        text, libraries, where, tokens = json.loads(out.splitlines()[-1])
        assert len(text) > 5
        assert libraries == 1 and str(tmp_path) in where and tokens > 0
    assert call(tmp_path, bin_folder / "dsv4", "run", tmp_path / "out0", "-p", "In the beginning God", "-n", "8", "-q").rstrip("\n") == text
    assert call(tmp_path, bin_folder / "python", "-m", "dsv4", "--version").startswith("dsv4 ")


@pytest.mark.full
def test_full_runs_beside_genai_in_either_order(fresh, tmp_path):
    bin_folder = fresh(sys.executable, "openvino-genai==2026.4.1.0")
    script = USE.split("core = ")[0] + """
import openvino_genai
pipeline = openvino_genai.LLMPipeline(out, "CPU", extensions=[dsv4.ops_library()])
print(json.dumps([libraries.__len__(), str(pipeline.generate("In the beginning God", max_new_tokens=8, apply_chat_template=False))]))
"""
    for number, order in enumerate((("dsv4", "openvino_genai"), ("openvino_genai", "dsv4"))):
        out = call(tmp_path, bin_folder / "python", "-c", script, *order, MINI, tmp_path / f"out{number}")
        libraries, text = json.loads(out.splitlines()[-1])
        assert libraries == 1 and len(text) > 3


@pytest.mark.full
def test_full_installs_twice_and_leaves_nothing(fresh, tmp_path, wheel):
    bin_folder = fresh()
    before = {path for path in bin_folder.parent.rglob("*") if "openvino" not in str(path)}
    call(tmp_path, bin_folder / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--force-reinstall", "--no-deps", wheel)
    assert call(tmp_path, bin_folder / "dsv4", "--version").startswith("dsv4 ")
    call(tmp_path, bin_folder / "python", "-m", "pip", "uninstall", "-q", "-y", "dsv4")
    left = [path for path in bin_folder.parent.rglob("*") if "dsv4" in path.name]
    assert before and not left


@pytest.mark.full
def test_full_finds_openvino_in_another_folder(tmp_path, wheel):
    venv, ours, theirs = tmp_path / "venv", tmp_path / "ours", tmp_path / "theirs"
    call(tmp_path, sys.executable, "-m", "venv", venv)
    pip = [venv / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    call(tmp_path, *pip, "--no-deps", "--target", ours, wheel)
    call(tmp_path, *pip, "--target", theirs, "openvino==2026.4.1", "openvino-tokenizers==2026.4.1.0", "numpy")
    path = f"{ours}{os.pathsep}{theirs}"
    out = call(tmp_path, venv / "bin/python", "-c", USE, "dsv4", "openvino", MINI, tmp_path / "out", PYTHONPATH=path)
    assert json.loads(out.splitlines()[-1])[1] == 1
    assert call(tmp_path, venv / "bin/python", "-m", "dsv4", "tokenize", tmp_path / "out", "-p", "light", PYTHONPATH=path)


@pytest.mark.full
def test_full_types_are_complete(fresh, tmp_path):
    bin_folder = fresh(sys.executable, "mypy==1.18.2")
    (tmp_path / "use.py").write_text("import dsv4\n\nengine = dsv4.Engine('x', threads=2)\nrow = engine.session().feed([1, 2])\nreveal_type(row)\nfor token in engine.generate('a'):\n"
                                     "    print(token.text + 1)\n")
    done = subprocess.run([bin_folder / "python", "-m", "mypy", "use.py"], cwd=tmp_path, env=clean(), capture_output=True, text=True, timeout=600, check=False)
    assert "ndarray" in done.stdout and "Unsupported operand types" in done.stdout and "Found 1 error" in done.stdout, done.stdout
