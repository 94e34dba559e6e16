#!/usr/bin/env bash
# All benchmarks of docs/benchmarks.md and docs/benchmarks/quality.md: Markdown on standard output, progress on standard error. `make bench` builds first.
# Arguments go to convert_memory.py: --layers N,N (of V4-Flash, default 2,4), --weight-formats F,F, --repeats N, --dir DIRECTORY, --preset toy to leave the 50 GB out.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -x build/release/dsv4 ]; then
  echo "bench: build/release/dsv4 is not built; run: make bench" >&2
  exit 1
fi
tools/test-venv.sh tests >&2
failed=0
echo "### The portable program on the CPU"
echo
build/venv/bin/python benchmarks/portable_graph.py || failed=1
echo "### Decoding and compressing weights"
echo
build/venv/bin/python benchmarks/quantize.py || failed=1
echo "### Memory and speed of a conversion"
echo
build/venv/bin/python benchmarks/convert_memory.py "$@" || failed=1
echo "### Products with packed weights, and OpenVINO's"
echo
build/venv/bin/python benchmarks/products.py || failed=1
echo "### States of a sequence"
echo
build/release/bench_states benchmarks/configs/v4-flash-deep.json build/bench.state || failed=1
echo "### What the roundings of the CPU program cost"
echo
build/venv/bin/python benchmarks/rounding.py || failed=1
echo "### What the formats cost"
echo
build/venv/bin/python benchmarks/quality.py || failed=1
exit "$failed"
