# The tests of the API once more with the binding built with AddressSanitizer and UBSan; the rooms below it, which the C++ tests run under both, are the release's.
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import goldens
import program

TREE = program.executable().parent
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"]


def done(command, **options):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=1800, **options)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-4000:]
    return result.stdout


def link_command():
    """Of libdsv4_python.so, as the generator of the tree has it."""
    makefiles = TREE / "CMakeFiles/dsv4_python.dir/link.txt"
    text = makefiles.read_text() if makefiles.is_file() else done(["ninja", "-C", TREE, "-t", "commands", "dsv4_python"])
    last = [line for line in text.splitlines() if "-shared" in line and "libdsv4_python.so" in line][-1]
    return shlex.split(re.sub(r"^: && | && :$", "", last.strip()))


def sanitized_packages(folder):
    """A folder of packages as build/release/python, with another library."""
    shutil.copytree(TREE / "python", folder, symlinks=True)
    library = folder / "dsv4/lib/libdsv4_python.so"
    library.unlink()
    for name in ("bin/dsv4", "lib/libdsv4_ops.so"):
        target = (TREE / "python/dsv4" / name).resolve()
        (folder / "dsv4" / name).unlink()
        (folder / "dsv4" / name).symlink_to(target)
    objects = {}
    for entry in json.loads((TREE / "compile_commands.json").read_text()):
        if "/python/binding/" in entry["file"]:
            command = shlex.split(entry["command"])
            compiled = command[command.index("-o") + 1]
            objects[compiled] = folder / f"{Path(entry['file']).stem}.o"
            command[command.index("-o") + 1] = str(objects[compiled])
            done([*command, *SANITIZE], cwd=TREE)
    command = [str(objects.get(part, part)) for part in link_command()]
    command[command.index("-o") + 1] = str(library)
    done([*command, *SANITIZE], cwd=TREE)
    return folder


@pytest.mark.full
def test_full_the_binding_under_sanitizers(tmp_path):
    packages = sanitized_packages(tmp_path / "packages")
    shim = tmp_path / "dlopen.so"
    done(["c++", "-std=c++20", "-shared", "-fPIC", "-o", shim, goldens.REPOSITORY / "tests/support/dlopen_under_sanitizers.cpp", "-ldl"])
    libraries = [done(["c++", f"-print-file-name={name}"]).strip() for name in ("libasan.so", "libubsan.so")]
    environment = dict(os.environ, DSV4_PACKAGES=str(packages), LD_PRELOAD=":".join([str(shim), *map(os.path.realpath, libraries)]),
                       ASAN_OPTIONS="detect_leaks=0:strict_string_checks=1:verify_asan_link_order=0", UBSAN_OPTIONS="print_stacktrace=1")
    tests = sorted((goldens.REPOSITORY / "tests/python").glob("test_api_*.py"))
    prefix = ["setarch", os.uname().machine, "--addr-no-randomize"]  # as tools/run-tests.py
    out = done([*prefix, sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests], cwd=goldens.REPOSITORY, env=environment)
    assert re.search(r"\d+ passed", out)
