# tools/build.py: one line in place on a terminal, the log in a file, and what went wrong with the file's name.
import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CMAKE_LISTS = 'cmake_minimum_required(VERSION 3.22)\nproject(small LANGUAGES CXX)\nadd_executable(small small.cpp)\n'
PRESETS = """{"version": 3,
 "configurePresets": [{"name": "quick", "binaryDir": "${sourceDir}/build/quick"}],
 "buildPresets": [{"name": "quick", "configurePreset": "quick"}]}"""


@pytest.fixture
def project(tmp_path):
    """A project of one file, with the script where it looks for the project's root."""
    (tmp_path / "tools").mkdir()
    shutil.copy(REPOSITORY / "tools" / "build.py", tmp_path / "tools")
    (tmp_path / "CMakeLists.txt").write_text(CMAKE_LISTS)
    (tmp_path / "CMakePresets.json").write_text(PRESETS)
    (tmp_path / "small.cpp").write_text("int main() { return 0; }\n")
    return tmp_path


def build(project, *arguments, **options):
    return subprocess.run([project / "tools" / "build.py", "quick", *arguments], capture_output=True, text=True, timeout=300, check=False, **options)


def test_says_where_the_log_is_and_nothing_of_the_compiler(project):
    result = build(project, "-j", "1", "small")
    assert result.returncode == 0, result.stderr
    assert (project / "build/quick/small").exists()
    lines = result.stdout.splitlines()
    assert len(lines) == 2 and "build/quick.log" in lines[0] and lines[1].startswith("build: done")
    assert result.stderr == ""
    assert "small.cpp" in (project / "build/quick.log").read_text()


def test_shows_the_error_and_the_name_of_the_log(project):
    (project / "small.cpp").write_text("int main() { return nothing; }\n")
    result = build(project)
    assert result.returncode == 1
    assert "'nothing' was not declared" in result.stderr.replace("‘", "'").replace("’", "'")
    assert result.stderr.splitlines()[-1] == "build: failed; the whole log is build/quick.log"


def test_shows_one_line_in_place_on_a_terminal(project):
    master, terminal = pty.openpty()
    with subprocess.Popen([project / "tools" / "build.py", "quick"], stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        output = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
            if not part:
                break
            output += part
        assert process.wait() == 0
    os.close(master)
    shown = output.decode()
    assert "\r\x1b[K" in shown and "small.cpp" in shown
    assert shown.count("\n") == 2, "the first line and the last one; between them one in place"
