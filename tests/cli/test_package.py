# The installation: moved to another place, the program runs with the libraries that came with it; the example program finds the package, builds against it and
# generates what the goldens say.
import os
import re
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
def moved(tmp_path_factory):
    """A prefix that was installed to under another name, with the program and its libraries copied into one folder beside it."""
    work = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", program.executable().parent, "--prefix", work / "first")
    (work / "first").rename(work / "prefix")
    assert os.access(work / "prefix/bin/dsv4", os.X_OK)
    (work / "copied").mkdir()
    for file in [work / "prefix/bin/dsv4", *(work / "prefix/lib/dsv4").iterdir()]:
        shutil.copy(file, work / "copied")
    return work


@pytest.mark.parametrize("where", ["prefix/bin", "copied"])
def test_a_moved_program_runs_a_text_with_its_own_libraries(library, moved, where):
    folder, dsv4 = library.folder("mini"), moved / where / "dsv4"
    expected = program.succeed("run", folder, "-p", "In the beginning", "-n", 6).out
    environment = {key: value for key, value in os.environ.items() if key not in ("LD_LIBRARY_PATH", "DSV4_TOKENIZERS_LIBRARY")}
    done = subprocess.run([dsv4, "run", folder, "-p", "In the beginning", "-n", "6"], capture_output=True, text=True, timeout=300, check=False,
                          cwd=moved, env={**environment, "LD_DEBUG": "files"})
    assert done.returncode == 0 and done.stdout == expected
    loaded = {os.path.realpath(path) for path in re.findall(r"calling init: (/\S+)", done.stderr)}
    names = {os.path.basename(path).split(".so")[0] for path in loaded if path.startswith(str(moved))}
    assert {"libopenvino", "libopenvino_intel_cpu_plugin", "libopenvino_ir_frontend", "libtbb"} <= names
    assert "libopenvino_tokenizers" not in names
    assert not [path for path in loaded if path.startswith(str(REPOSITORY))]


def test_a_moved_program_is_found_through_a_link_and_converts(library, moved, tmp_path):
    (tmp_path / "dsv4").symlink_to(moved / "prefix/bin/dsv4")
    version = subprocess.run([tmp_path / "dsv4", "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert str(moved / "prefix/lib/dsv4/libopenvino_tokenizers.so") in version
    subprocess.run([tmp_path / "dsv4", "convert", "-m", REPOSITORY / "models/mini", tmp_path / "out"], capture_output=True, timeout=300, check=True)
    for name in ("openvino_tokenizer.xml", "openvino_model.bin"):
        assert (tmp_path / "out" / name).read_bytes() == (library.folder("mini") / name).read_bytes()


def test_the_installed_ops_and_documentation_are_there(moved):
    assert (moved / "prefix/lib/libdsv4_ops.so").is_file()
    assert (moved / "prefix/share/doc/dsv4/docs/command-line.md").is_file()
    pages = subprocess.run([moved / "prefix/bin/dsv4", "run", "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert (moved / "prefix/share/doc/dsv4" / re.search(r"^More: (\S+)$", pages, re.MULTILINE)[1]).is_file()


@pytest.fixture(scope="module")
def example(moved, tmp_path_factory):
    """The example, built against an installation in another place than the repository."""
    build, work = program.executable().parent, tmp_path_factory.mktemp("package")
    shutil.copytree(REPOSITORY / "examples", work / "examples")
    run("cmake", "-S", work / "examples", "-B", work / "build", f"-DCMAKE_PREFIX_PATH={moved / 'prefix'}", f"-DOpenVINO_DIR={openvino_directory(build)}")
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


def test_the_commit_of_a_tree_is_its_own_or_unknown(tmp_path):
    def commit(source):
        run("cmake", f"-DSOURCE={source}", f"-DOUTPUT={tmp_path / 'commit.cpp'}", "-P", REPOSITORY / "cmake/Dsv4Commit.cmake")
        return re.search(r'= "([^"]*)"', (tmp_path / "commit.cpp").read_text())[1]

    (tmp_path / "source/inner").mkdir(parents=True)
    assert commit(tmp_path / "source") == "unknown"
    git = ("git", "-C", tmp_path / "source", "-c", "user.name=n", "-c", "user.email=e@example.org")
    (tmp_path / "source/file").write_text("1")
    run(*git, "init", "-q")
    run(*git, "add", "-A")
    run(*git, "commit", "-q", "-m", "first")
    head = run(*git, "rev-parse", "HEAD")[:12]
    assert commit(tmp_path / "source") == head
    assert commit(tmp_path / "source/inner") == "unknown", "a folder in a tree of something else"
    (tmp_path / "source/file").write_text("2")
    assert commit(tmp_path / "source") == head + "-dirty"
