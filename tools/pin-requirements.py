#!/usr/bin/env python3
# Writes the hashes of all wheels that tools/test-venv.sh could install into the requirement files.
"""usage: tools/pin-requirements.py [FILE...]

FILE: by default tests/requirements/*.txt and benchmarks/requirements*.txt. Change a version by hand (name==version, each package that is needed),
then run this: it asks the package index, keeps comments, versions and markers, and replaces the hashes. Wheels count that fit CPython 3.10 to 3.14 on
Linux with glibc, x86-64 or aarch64; it tells which of these a package has no wheel for.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MINORS = range(10, 15)  # CPython 3.x
MACHINES = ("x86_64", "aarch64")


def targets(wheel):
    """{(minor version of CPython, machine)} that a wheel of this file name can be installed for."""
    pythons, abi, platforms = wheel.removesuffix(".whl").split("-")[-3:]
    minors = set()
    for python in pythons.split("."):
        if python in ("py3", "py2.py3"):
            minors.update(MINORS)
        elif (match := re.fullmatch(r"(?:cp|py)3(\d+)", python)) and abi in (python, "none", "abi3"):
            first = int(match[1])
            minors.update(minor for minor in MINORS if minor == first or (minor > first and (abi == "abi3" or python.startswith("py"))))
    machines = set()
    for platform in platforms.split("."):
        match = re.fullmatch(r"manylinux(?:1|2010|2014|_\d+_\d+)_(\w+)", platform)
        machines.update(MACHINES if platform == "any" else [match[1]] if match else [])
    return {(minor, machine) for minor in minors for machine in machines if machine in MACHINES}


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(text):
    """The file's comments and requirements, one string each, without hashes."""
    joined = re.sub(r"\\\n", " ", text)
    return [line if line.lstrip().startswith("#") else re.sub(r"\s*--hash=\S+", "", line).strip() for line in joined.splitlines()]


def release(requirement):
    match = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", requirement)
    if not match:
        sys.exit(f"pin-requirements: not name==version: {requirement}")
    return normalized(match[1]), match[2]


def wheels_of(file):
    """(name, version) -> {file name of a wheel: sha256}, from the package index."""
    with tempfile.TemporaryDirectory() as folder:
        plain, lock = Path(folder, "requirements.txt"), Path(folder, "pylock.toml")
        plain.write_text("\n".join(entries(file.read_text())) + "\n")
        subprocess.run([ROOT / "build/python/uv/bin/uv", "pip", "compile", "--quiet", "--no-deps", "--universal", "--python-version", f"3.{MINORS[0]}",
                        "--only-binary", ":all:", "--generate-hashes", "--format", "pylock.toml", plain, "-o", lock], check=True, cwd=folder,
                       env=dict(os.environ, UV_CACHE_DIR=str(ROOT / "build/python/.cache"), UV_PYTHON_DOWNLOADS="never"))
        found = {}
        for package in lock.read_text().split("[[packages]]")[1:]:
            name, version = re.search(r'name = "(.+?)"\nversion = "(.+?)"', package).groups()
            found[normalized(name), version] = dict(re.findall(r'url = "[^"]*?([^/"]+\.whl)".*?sha256 = "([0-9a-f]{64})"', package))
    return found


def pin(file):
    found = wheels_of(file)
    covered = {}
    lines = []
    for entry in entries(file.read_text()):
        if not entry or entry.lstrip().startswith("#"):
            lines.append(entry)
            continue
        name, version = release(entry)
        wheels = {wheel: sha256 for wheel, sha256 in found[name, version].items() if targets(wheel)}
        if not wheels:
            sys.exit(f"pin-requirements: {file}: {name} {version} has no wheel that could be installed")
        covered.setdefault(name, set()).update(*map(targets, wheels))
        lines.append(" \\\n".join([entry, *(f"    --hash=sha256:{wheels[wheel]}" for wheel in sorted(wheels))]))
    file.write_text("\n".join(lines) + "\n")
    for name, has in covered.items():
        missing = sorted({(minor, machine) for minor in MINORS for machine in MACHINES} - has)
        if missing:
            print(f"pin-requirements: {file.name}: no wheel of {name} for " + ", ".join(f"CPython 3.{minor} {machine}" for minor, machine in missing))


def main():
    if any(argument.startswith("-") for argument in sys.argv[1:]):
        sys.exit(__doc__)
    subprocess.run([ROOT / "tools/test-venv.sh", "uv"], check=True)
    files = [Path(argument) for argument in sys.argv[1:]]
    for file in files or [*sorted((ROOT / "tests/requirements").glob("*.txt")), *sorted((ROOT / "benchmarks").glob("requirements*.txt"))]:
        pin(file)


if __name__ == "__main__":
    main()
