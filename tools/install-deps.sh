#!/usr/bin/env bash
# Installs the Debian/Ubuntu packages that dsv4 is built and tested with; without root it prints the one command to run.
#
#   tools/install-deps.sh [--fuzz] [--lint]
#     --fuzz   also clang with its sanitizer runtime (make test-full)
#     --lint   also clang-tidy and clang-format (make tidy, make format)
#
# Each thing is probed where it is used (compiler, header, Python module), so what was installed by other means counts.
set -euo pipefail

want_fuzz=false
want_lint=false
for argument in "$@"; do
  case "$argument" in
    --fuzz) want_fuzz=true ;;
    --lint) want_lint=true ;;
    *) echo "install-deps: unknown argument '$argument' (known: --fuzz --lint)" >&2; exit 2 ;;
  esac
done

have() { command -v "$1" >/dev/null 2>&1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# compiles COMPILER FLAGS... : the program on stdin compiles and links.
compiles() {
  local compiler=$1
  shift
  have "$compiler" || return 1
  "$compiler" -x c++ - "$@" -o "$scratch/probe" >/dev/null 2>&1
}

has_header() { printf '%s\n' "${2:-}" "#include <$1>" | g++ -std=c++20 -x c++ -E - >/dev/null 2>&1; }
has_fuzzer() { echo '#include <string>
extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, std::size_t n) { return std::string(n, 0).size() == 1; }' | compiles clang++ -std=c++20 -fsanitize=fuzzer,address,undefined; }
has_library() { echo 'int main() {}' | compiles g++ "-l$1" -pthread; }

# The sanitizer runtime is a package of its own on some releases and part of another one on others.
clang_runtime_package() {
  local major
  if have clang++; then
    major=$(clang++ -dumpversion | cut -d. -f1)
  else
    major=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -1)
  fi
  if [ -n "$major" ] && apt-cache show "libclang-rt-$major-dev" >/dev/null 2>&1; then
    echo "libclang-rt-$major-dev"
  fi
}

missing_packages() {
  have g++ || echo g++
  have make || echo make
  have cmake || echo cmake
  has_header nlohmann/json.hpp || echo nlohmann-json3-dev
  has_header CLI/CLI.hpp || echo libcli11-dev
  { has_header hwy/highway.h && has_library hwy; } || echo libhwy-dev
  { has_header xxhash.h && has_library xxhash; } || echo libxxhash-dev
  { has_header pcre2.h "#define PCRE2_CODE_UNIT_WIDTH 8" && has_library pcre2-8; } || echo libpcre2-dev
  { has_header histedit.h && has_library edit; } || echo libedit-dev
  { has_header event2/bufferevent.h && has_library event_core; } || echo libevent-dev
  { has_header gtest/gtest.h && has_library gtest; } || echo libgtest-dev
  { has_header gmock/gmock.h && has_library gmock; } || echo libgmock-dev
  have curl || echo curl
  have python3 || echo python3
  python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || echo python3-venv
  if $want_fuzz && ! has_fuzzer; then
    have clang++ || echo clang
    clang_runtime_package
  fi
  if $want_lint; then
    have clang-tidy || echo clang-tidy
    have clang-format || echo clang-format
  fi
}

# Without a compiler no header is found; ask for all of them then, apt skips those that are there.
mapfile -t packages < <(missing_packages)
if [ ${#packages[@]} -eq 0 ]; then
  exit 0
fi

echo "install-deps: missing Debian packages: ${packages[*]}"
root=()
if [ "$(id -u)" -ne 0 ]; then
  root=(sudo)
fi
if ! have apt-get; then
  echo "install-deps: this system has no apt-get. Install what these packages hold with its own package manager, then run make again." >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ] && ! { have sudo && sudo -n true 2>/dev/null; }; then
  echo "install-deps: no root rights here. Run this, then make again:" >&2
  echo "  sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends ${packages[*]}'" >&2
  exit 1
fi

echo "install-deps: installing them with apt-get"
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -q || echo "install-deps: apt-get update failed; trying with the package lists that are here" >&2
if $want_fuzz; then  # the lists are known only now on a new machine
  mapfile -t packages < <(missing_packages)
fi
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"

mapfile -t packages < <(missing_packages)
if [ ${#packages[@]} -ne 0 ]; then
  echo "install-deps: still missing after the installation: ${packages[*]} (is another compiler or python3 first in PATH?)" >&2
  exit 1
fi
