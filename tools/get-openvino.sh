#!/usr/bin/env bash
# Puts OpenVINO 2026.4.1 (a complete C++ SDK) and openvino-tokenizers' library below build/deps: their PyPI wheels, checked by hash. OpenVINO itself is not
# fetched if CMake finds that version.
set -euo pipefail
cd "$(dirname "$0")/.."

version=2026.4.1

# The CPython 3.11 wheels serve every Python: only headers, libraries and CMake files are used here.
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64)
    platforms=(manylinux_2_28_x86_64)
    openvino_wheel=openvino-$version-22982-cp311-cp311-manylinux_2_28_x86_64.whl
    openvino_sha256=2d22b1da03f7caf74df30e9f6417d0ab2f637e4a38e08e1dcd294d2c37407aaf
    tokenizers_wheel=openvino_tokenizers-$version.0-py3-none-manylinux_2_28_x86_64.whl
    tokenizers_sha256=f30dc9d6dd9e485b10495bcf72fc257f33bf35938da783fbb8f17c98c5ab517f
    ;;
  Linux-aarch64)
    platforms=(manylinux_2_35_aarch64 manylinux_2_31_aarch64)
    openvino_wheel=openvino-$version-22982-cp311-cp311-manylinux_2_35_aarch64.whl
    openvino_sha256=bea1eb3733c34ef331adc945da0ccda5937865031139073663be84c517ffda22
    tokenizers_wheel=openvino_tokenizers-$version.0-py3-none-manylinux_2_31_aarch64.whl
    tokenizers_sha256=3281bb8ba2347b3be23b77ac1c9d8ea93b52b66a4ae781d9e0e4ee2b71dea313
    ;;
  *)
    echo "get-openvino: no OpenVINO $version wheel is pinned for $(uname -s) $(uname -m). Install OpenVINO $version and set OpenVINO_DIR." >&2
    exit 1
    ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The same question that cmake/Dsv4OpenVINO.cmake asks first: is this version installed?
openvino_is_installed() {
  cat > "$scratch/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.22)
project(probe LANGUAGES CXX)
find_package(OpenVINO $version EXACT REQUIRED COMPONENTS Runtime Threading)
CMAKE
  cmake -S "$scratch" -B "$scratch/build" >/dev/null 2>&1
}

# fetch REQUIREMENT WHEEL SHA256 TARGET SIZE: unpacks the wheel into TARGET.
fetch() {
  local requirement=$1 wheel=$2 sha256=$3 target=$4 size=$5 platform
  local options=()
  mkdir -p build/deps
  staging=$(mktemp -d build/deps/.fetch.XXXXXX)
  trap 'rm -rf "$scratch" "$staging"' EXIT

  local pip=(python3 -m pip)
  if ! "${pip[@]}" --version >/dev/null 2>&1; then
    python3 -m venv "$staging/venv"
    pip=("$staging/venv/bin/python" -m pip)
  fi
  for platform in "${platforms[@]}"; do options+=(--platform "$platform"); done
  echo "get-openvino: downloading $wheel (about $size MB) from PyPI"
  "${pip[@]}" download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 --abi none \
    "${options[@]}" --dest "$staging" "$requirement"

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
  rm -rf "$staging"
  echo "get-openvino: unpacked to $target"
}

target=build/deps/openvino-$version
if [ ! -f "$target/openvino/cmake/OpenVINOConfig.cmake" ]; then
  if openvino_is_installed; then
    echo "get-openvino: OpenVINO $version is installed, using it"
  else
    fetch "openvino==$version" "$openvino_wheel" "$openvino_sha256" "$target" 60
  fi
fi

target=build/deps/openvino_tokenizers-$version
if [ ! -f "$target/openvino_tokenizers/lib/libopenvino_tokenizers.so" ]; then
  fetch "openvino-tokenizers==$version.0" "$tokenizers_wheel" "$tokenizers_sha256" "$target" 2
fi
