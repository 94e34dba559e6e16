#!/usr/bin/env bash
# Makes the Python environments of earlier OpenVINO releases that the tests load models in: build/venv-ovX from tests/requirements-ovX.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

for version in 2025.4 2026.1; do
  venv=build/venv-ov$version
  requirements=tests/requirements-ov$version.txt
  stamp=$venv/requirements.installed
  if [ -x "$venv/bin/python" ] && cmp -s "$requirements" "$stamp" && "$venv/bin/python" -c 'import numpy, openvino' 2>/dev/null; then
    continue
  fi
  echo "old-openvino-venvs: installing $requirements into $venv"
  mkdir -p build
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r "$requirements"
  cp "$requirements" "$stamp"
done
