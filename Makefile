# One-word entry points over CMake and the scripts in tools/. `make demo` and `make test` install and fetch what they need.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help deps openvino venv build wheel install test test-full demo bench bench-peer asan tsan tidy format format-check clean

JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

# Ninja and ccache where they are installed; a build folder keeps the generator that it was made with.
ifneq ($(shell command -v ninja),)
export CMAKE_GENERATOR ?= Ninja
endif
ifneq ($(shell command -v ccache),)
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
endif

# The test programs that `make test` runs under AddressSanitizer and UBSan, and those with threads of ours for ThreadSanitizer; tools/run-tests.py runs them.
SANITIZED = test_checkpoint test_convert test_files test_ops test_quantize test_reference test_runtime test_text
RACED = test_convert test_files test_ops test_runtime test_text

SOURCES = $(shell find src include tests benchmarks -name '*.h' -o -name '*.cpp' | sort)

help:
	@echo 'make demo          convert, verify and run the toy and the mini model'
	@echo 'make test          build, run all tests, end with "N passed, N failed"'
	@echo 'make test-full     the same with the long tests, the debug and link-time builds, all sanitizers and 60 s of each fuzz target (needs clang)'
	@echo 'make build         only the program and its ops for other programs: build/release/dsv4, libdsv4_ops.so'
	@echo 'make wheel         dist/dsv4-*.whl: the program, its ops and the Python API, for pip'
	@echo 'make install       into PREFIX (now $(PREFIX)), with the libraries that the program needs'
	@echo 'make bench         the measurements of docs/benchmarks.md'
	@echo 'make bench-peer    the measurements beside llama.cpp, which it installs (35 to 68 GB of free disk, 20 minutes and more)'
	@echo 'make asan          build everything with AddressSanitizer and UBSan in build/asan'
	@echo 'make tsan          sessions, the converter, direct reads, the tokenizer and parallel loops under ThreadSanitizer, in build/tsan'
	@echo 'make tidy          clang-tidy over src/'
	@echo 'make format        clang-format all sources; make format-check only compares'
	@echo 'make clean         delete build results; downloads below build/deps and build/python stay'
	@echo 'JOBS=N             parallel compiler jobs (now $(JOBS))'

deps:
	@tools/install-deps.sh

openvino: deps
	@tools/get-openvino.sh

venv: deps
	@tools/test-venv.sh

build: openvino
	@tools/build.py release -j $(JOBS) dsv4 dsv4_ops_library

wheel: openvino
	@tools/test-venv.sh wheel
	@tools/build.py release -j $(JOBS) python_module
	@tools/wheel.py

install: build
	@cmake --install build/release --prefix '$(PREFIX)' > build/install.log
	@echo "installed: $(PREFIX)/bin/dsv4 and the files that build/install.log names"

test: openvino venv
	@tools/build.py release -j $(JOBS)
	@tools/build.py asan -j $(JOBS) $(SANITIZED)
	@tools/run-tests.py

test-full: openvino
	@tools/install-deps.sh --fuzz
	@tools/test-venv.sh --full
	@tools/build.py release -j $(JOBS)
	@tools/build.py debug -j $(JOBS)
	@tools/build.py lto -j $(JOBS)
	@tools/build.py asan -j $(JOBS)
	@tools/build.py tsan -j $(JOBS) $(RACED)
	@tools/build.py fuzz -j $(JOBS) fuzzers
	@tools/run-tests.py --full

demo: build
	@tools/test-venv.sh tests
	@tools/demo.sh

bench: build
	@tools/build.py release -j $(JOBS) bench_quantize bench_matrix bench_states
	@test -x benchmarks/run.sh || { echo 'make bench: there is no benchmarks/run.sh yet' >&2; exit 1; }
	@benchmarks/run.sh

bench-peer: build
	@python3 benchmarks/peer.py --jobs $(JOBS)

asan: openvino
	@tools/build.py asan -j $(JOBS)

tsan: openvino
	@tools/build.py tsan -j $(JOBS) $(RACED)
	@tools/run-tests.py --only tsan

tidy: openvino
	@tools/install-deps.sh --lint
	cmake --preset release -B build/tidy -DDSV4_PRECOMPILE=OFF  # clang reads no precompiled headers of GCC
	@find src -name '*.cpp' -print0 | sort -z | xargs -0 -P $(JOBS) -n 1 clang-tidy -p build/tidy --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unused-command-line-argument

format:
	@tools/install-deps.sh --lint
	clang-format -i $(SOURCES)

format-check:
	@tools/install-deps.sh --lint
	clang-format --dry-run --Werror $(SOURCES)

clean:
	rm -rf build/release build/debug build/lto build/asan build/tsan build/fuzz build/demo build/test-results build/*.log
