#!/usr/bin/env bash
# Makes the Python environments of the tests from their pinned requirements; does nothing for one that is up to date.
#
#   tools/test-venv.sh [tests] [nncf] [clients] [text] [peer]     which; without arguments all but peer
#     tests  build/venv, tests/requirements.txt: what runs the tests
#     nncf   build/venv-nncf, tests/requirements-nncf.txt: NNCF, which some tests call as a program
#     clients  build/venv-clients, tests/requirements-clients.txt: OpenVINO GenAI and optimum-intel, what runs the tests in tests/clients
#     text   build/venv-text, the same as tests and tests/requirements-text.txt: what runs the tests of the tokenizer
#     peer   build/peer/venv, benchmarks/requirements-peer.txt: what benchmarks/peer.py converts checkpoints for llama.cpp with
set -euo pipefail
cd "$(dirname "$0")/.."

# environment VENV REQUIREMENTS MODULES [PIP OPTIONS]: the venv with all of the requirements, probed by importing the modules.
environment() {
  local venv=$1 requirements=$2 modules=$3
  shift 3
  local stamp=$venv/requirements.installed
  if [ -x "$venv/bin/python" ] && cmp -s "$requirements" "$stamp" && "$venv/bin/python" -c "import $modules" 2>/dev/null; then
    return
  fi
  echo "test-venv: installing $requirements into $venv"
  mkdir -p "$(dirname "$venv")"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: "$@" -r "$requirements"
  # PyPI's torch is linked against CUDA libraries, which are not installed.
  local torch
  for torch in "$venv"/lib/python*/site-packages/torch/lib; do
    if [ -d "$torch" ]; then "$venv/bin/python" tools/cuda-stand-ins.py "$torch"; fi
  done
  cp "$requirements" "$stamp"
}

# add_to VENV REQUIREMENTS: the requirements, hashes checked where they state some, without what they depend on: the tests do not need that.
add_to() {
  local venv=$1 requirements=$2
  local stamp=$venv/$(basename "$requirements").installed
  if ! cmp -s "$requirements" "$stamp"; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-deps -r "$requirements"
    cp "$requirements" "$stamp"
  fi
}

if [ $# -eq 0 ]; then
  set -- tests nncf clients text
fi
for name in "$@"; do
  case "$name" in
    tests) environment build/venv tests/requirements.txt numpy,openvino,pytest ;;
    nncf) environment build/venv-nncf tests/requirements-nncf.txt nncf,openvino ;;
    clients) environment build/venv-clients tests/requirements-clients.txt openvino_genai,torch,transformers --no-deps --no-cache-dir --no-compile ;;
    text)
      environment build/venv-text tests/requirements.txt numpy,openvino,pytest
      add_to build/venv-text tests/requirements-text.txt
      add_to build/venv-text tests/requirements-deepseek.txt
      ;;
    peer) environment build/peer/venv benchmarks/requirements-peer.txt torch,transformers,sentencepiece --no-deps --no-cache-dir --no-compile ;;
    *) echo "test-venv: unknown environment '$name' (known: tests nncf clients text peer)" >&2; exit 2 ;;
  esac
done
