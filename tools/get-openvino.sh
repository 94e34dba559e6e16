#!/usr/bin/env bash
# Puts OpenVINO 2026.4.1 below build/deps: its PyPI wheel (a complete C++ SDK), checked by hash. Does nothing if CMake finds that version.
set -euo pipefail
cd "$(dirname "$0")/.."

version=2026.4.1
target=build/deps/openvino-$version
config=openvino/cmake/OpenVINOConfig.cmake  # inside the wheel

# The CPython 3.11 wheels serve every Python: only headers, libraries and CMake files are used here.
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64)
    platform=manylinux_2_28_x86_64
    sha256=2d22b1da03f7caf74df30e9f6417d0ab2f637e4a38e08e1dcd294d2c37407aaf
    ;;
  Linux-aarch64)
    platform=manylinux_2_35_aarch64
    sha256=bea1eb3733c34ef331adc945da0ccda5937865031139073663be84c517ffda22
    ;;
  *)
    echo "get-openvino: no OpenVINO $version wheel is pinned for $(uname -s) $(uname -m). Install OpenVINO $version and set OpenVINO_DIR." >&2
    exit 1
    ;;
esac
wheel=openvino-$version-22982-cp311-cp311-$platform.whl

if [ -f "$target/$config" ]; then
  exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The same question that cmake/Dsv4OpenVINO.cmake asks first: is this version installed?
cat > "$scratch/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.22)
project(probe LANGUAGES CXX)
find_package(OpenVINO $version EXACT REQUIRED COMPONENTS Runtime Threading)
CMAKE
if cmake -S "$scratch" -B "$scratch/build" >/dev/null 2>&1; then
  echo "get-openvino: OpenVINO $version is installed, using it"
  exit 0
fi

mkdir -p build/deps
staging=$(mktemp -d build/deps/.openvino.XXXXXX)
trap 'rm -rf "$scratch" "$staging"' EXIT

pip=(python3 -m pip)
if ! "${pip[@]}" --version >/dev/null 2>&1; then
  python3 -m venv "$staging/venv"
  pip=("$staging/venv/bin/python" -m pip)
fi
echo "get-openvino: downloading $wheel (about 60 MB) from PyPI"
"${pip[@]}" download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 \
  --platform "$platform" --dest "$staging" "openvino==$version"

if [ ! -f "$staging/$wheel" ]; then
  echo "get-openvino: expected $wheel, pip downloaded: $(cd "$staging" && echo *.whl)" >&2
  exit 1
fi
if ! echo "$sha256  $staging/$wheel" | sha256sum --check --quiet; then
  echo "get-openvino: $wheel is not the file that was pinned (sha256 $sha256); nothing was unpacked" >&2
  exit 1
fi

python3 -m zipfile -e "$staging/$wheel" "$staging/unpacked"
chmod 755 "$staging/unpacked"
rm -rf "$target"
mv "$staging/unpacked" "$target"  # one rename: the folder is there whole or not at all
echo "get-openvino: unpacked to $target"
