#!/usr/bin/env bash
# Makes the Python environment of the tests at build/venv from the pinned versions in tests/requirements.txt; does nothing if it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/venv
stamp=$venv/requirements.installed

if [ -x "$venv/bin/python" ] && cmp -s tests/requirements.txt "$stamp" && "$venv/bin/python" -c 'import numpy, openvino, pytest' 2>/dev/null; then
  exit 0
fi
echo "test-venv: installing tests/requirements.txt into $venv"
mkdir -p build
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r tests/requirements.txt
cp tests/requirements.txt "$stamp"
