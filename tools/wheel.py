#!/usr/bin/env python3
# Packs what build/release has into the one wheel of dist/: scikit-build-core makes it, auditwheel brings the libraries that a machine may lack.
"""usage: tools/wheel.py [FOLDER]

FOLDER: where the wheel goes, dist/ by default; wheels of dsv4 that are there are deleted. `make wheel` makes what this needs: build/venv-wheel and the target
python_module.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "wheel"
VENV = ROOT / "build" / "venv-wheel" / "bin"
# pip brings these: their packages are in the wheel's requirements.
OTHERS = re.compile(r"NEEDED.*\[(libopenvino\.so\.\d+|libtbb\.so\.\d+)\]")


def logged(name, command):
    """Runs it with the output in build/wheel/NAME.log, which is shown when it fails."""
    path = WORK / f"{name}.log"
    environment = dict(os.environ, PATH=f"{VENV}{os.pathsep}{os.environ['PATH']}")
    with open(path, "w") as log:
        code = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode
    if code != 0:
        sys.exit(f"{path.read_text(errors='replace')[-4000:]}\nwheel: {name} failed; the whole log is {path.relative_to(ROOT)}")


def only_wheel(folder):
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        sys.exit(f"wheel: {len(wheels)} wheels in {folder}, expected one")
    return wheels[0]


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    output = Path(sys.argv[1] if len(sys.argv) == 2 else ROOT / "dist").resolve()
    if not (VENV / "python").exists():
        sys.exit(f"wheel: {VENV.parent.relative_to(ROOT)} is not there: run make wheel")
    shutil.rmtree(WORK, ignore_errors=True)
    packed, repaired = WORK / "packed", WORK / "repaired"
    packed.mkdir(parents=True)
    script = "import sys; from scikit_build_core.build import build_wheel; build_wheel(sys.argv[1])"
    logged("pack", [VENV / "python", "-c", script, packed])
    library = ROOT / "build/release/python/dsv4/lib/libdsv4_python.so"
    needed = subprocess.run(["readelf", "--dynamic", library], capture_output=True, text=True, check=True).stdout
    exclude = [f"--exclude={name}" for name in OTHERS.findall(needed)]
    logged("repair", [VENV / "python", "-m", "auditwheel", "repair", *exclude, "--wheel-dir", repaired, only_wheel(packed)])
    wheel = only_wheel(repaired)
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("dsv4-*.whl"):
        old.unlink()
    shutil.move(wheel, output / wheel.name)
    print(f"wheel: {output / wheel.name}, {(output / wheel.name).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
