# One-word entry points over CMake and the scripts in tools/. `make demo` and `make test` install and fetch what they need.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help deps openvino venv build test test-full demo bench bench-peer asan tsan tidy format format-check clean

JOBS ?= $(shell nproc)

# Ninja and ccache where they are installed; a build folder keeps the generator that it was made with.
ifneq ($(shell command -v ninja),)
export CMAKE_GENERATOR ?= Ninja
endif
ifneq ($(shell command -v ccache),)
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
endif

SOURCES = $(shell find src include tests benchmarks -name '*.h' -o -name '*.cpp' | sort)

help:
	@echo 'make demo          convert, verify and run the toy and the mini model'
	@echo 'make test          build, run all tests, end with "N passed, N failed"'
	@echo 'make test-full     the same with the long tests, all sanitizer tests and 60 s of each fuzz target (needs clang)'
	@echo 'make build         only the program: build/release/dsv4'
	@echo 'make bench         the measurements of docs/benchmarks.md'
	@echo 'make bench-peer    the measurements beside llama.cpp, which it installs (35 GB of free disk, 20 minutes)'
	@echo 'make asan          build everything with AddressSanitizer and UBSan in build/asan'
	@echo 'make tsan          two sessions in two threads under ThreadSanitizer, in build/tsan'
	@echo 'make tidy          clang-tidy over src/'
	@echo 'make format        clang-format all sources; make format-check only compares'
	@echo 'make clean         delete build results; downloads below build/deps and build/venv* stay'
	@echo 'JOBS=N             parallel compiler jobs (now $(JOBS))'

deps:
	@tools/install-deps.sh

openvino: deps
	@tools/get-openvino.sh

venv: deps
	@tools/test-venv.sh
	@tools/old-openvino-venvs.sh

build: openvino
	cmake --preset release
	cmake --build --preset release -j $(JOBS) --target dsv4

test: openvino venv
	cmake --preset release
	cmake --build --preset release -j $(JOBS)
	cmake --preset asan
	cmake --build --preset asan -j $(JOBS) --target test_checkpoint test_quantize test_ops test_reference
	@tools/run-tests.py

test-full: openvino venv
	@tools/install-deps.sh --fuzz
	cmake --preset release
	cmake --build --preset release -j $(JOBS)
	cmake --preset asan
	cmake --build --preset asan -j $(JOBS)
	cmake --preset fuzz
	cmake --build --preset fuzz -j $(JOBS) --target fuzzers
	@tools/run-tests.py --full

demo: build
	@tools/test-venv.sh tests
	@tools/demo.sh

bench: build
	cmake --build --preset release -j $(JOBS) --target bench_quantize bench_matrix
	@test -x benchmarks/run.sh || { echo 'make bench: there is no benchmarks/run.sh yet' >&2; exit 1; }
	@benchmarks/run.sh

bench-peer: build
	@python3 benchmarks/peer.py --jobs $(JOBS)

asan: openvino
	cmake --preset asan
	cmake --build --preset asan -j $(JOBS)

# setarch: with address randomisation of 32 bits ThreadSanitizer finds no room for its shadow.
tsan: openvino
	cmake --preset tsan
	cmake --build --preset tsan -j $(JOBS) --target test_runtime
	TSAN_OPTIONS="suppressions=$(CURDIR)/tests/tsan.supp" setarch -R build/tsan/tests/test_runtime --gtest_filter='Forms/Toy.TwoThreads*OneThreadEach/Cpu'

tidy: openvino
	@tools/install-deps.sh --lint
	cmake --preset release
	@find src -name '*.cpp' -print0 | sort -z | xargs -0 -P $(JOBS) -n 1 clang-tidy -p build/release --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option

format:
	@tools/install-deps.sh --lint
	clang-format -i $(SOURCES)

format-check:
	@tools/install-deps.sh --lint
	clang-format --dry-run --Werror $(SOURCES)

clean:
	rm -rf build/release build/debug build/asan build/fuzz build/demo build/test-results
