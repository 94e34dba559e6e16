# The installed package: the example program finds it, builds against it and generates what the goldens say.
import os
import shutil
import subprocess

import pytest

import program
from goldens import REPOSITORY


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def openvino_directory(build):
    """Where the build found OpenVINO."""
    cache = (build / "CMakeCache.txt").read_text()
    return next(line.split("=", 1)[1] for line in cache.splitlines() if line.startswith("OpenVINO_DIR:"))


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The example, built against an installation in another place than the repository."""
    build, work = program.executable().parent, tmp_path_factory.mktemp("package")
    run("cmake", "--install", build, "--prefix", work / "prefix")
    assert os.access(work / "prefix/bin/dsv4", os.X_OK)
    shutil.copytree(REPOSITORY / "examples", work / "examples")
    run("cmake", "-S", work / "examples", "-B", work / "build", f"-DCMAKE_PREFIX_PATH={work / 'prefix'}", f"-DOpenVINO_DIR={openvino_directory(build)}")
    run("cmake", "--build", work / "build")
    return work / "build/generate"


def test_the_example_generates_what_the_goldens_say(library, example):
    prompt, continuation = library.golden("toy").greedy[0]
    lines = run(example, library.folder("toy"), program.token_list(prompt), 12).splitlines()
    assert lines[0] == "greedy  " + program.token_list(continuation[:12])
    assert lines[1].startswith("sampled ") and lines[1].count(",") == 11


def test_the_example_says_what_is_wrong_in_one_line(example, tmp_path):
    done = subprocess.run([example, tmp_path / "none", "1,2"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "none" in done.stderr
