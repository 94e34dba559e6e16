#!/usr/bin/env bash
# Makes the Python environment of the client tests at build/venv-clients from tests/requirements-clients.txt; does nothing if it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/venv-clients
stamp=$venv/requirements.installed

if [ -x "$venv/bin/python" ] && cmp -s tests/requirements-clients.txt "$stamp" && "$venv/bin/python" -c 'import openvino_genai, torch, transformers' 2>/dev/null; then
  exit 0
fi
echo "client-venv: installing tests/requirements-clients.txt into $venv (a download of 720 MB, torch is 530 of it)"
mkdir -p build
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-cache-dir --no-compile --only-binary=:all: -r tests/requirements-clients.txt
torch_libraries=$("$venv/bin/python" -c 'import importlib.util; print(importlib.util.find_spec("torch").submodule_search_locations[0])')/lib
"$venv/bin/python" tools/cuda-stand-ins.py "$torch_libraries"
"$venv/bin/python" -c 'import openvino_genai, torch, transformers'
cp tests/requirements-clients.txt "$stamp"
