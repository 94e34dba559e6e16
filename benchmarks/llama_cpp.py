# llama.cpp, the engine that dsv4 is compared with: installed from a pinned source package, its files made of our checkpoints, measured by its own tools.
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import bench

VERSION = "0.3.36"  # of llama-cpp-python, which brings llama.cpp's whole source
HOME = bench.REPOSITORY / "build/peer"
SOURCE = HOME / f"llama_cpp_python-{VERSION}/vendor/llama.cpp"
BUILD = HOME / "llama"
PYTHON = HOME / "venv/bin/python"
TOOLS = ("llama-bench", "llama-quantize", "llama-completion")


def command(*words, log=None, cwd=None):
    """Runs a program of the installation; its output goes to a log file, the end of which is shown if it fails."""
    words = [str(word) for word in words]
    bench.say(" ".join(words))
    with open(log or HOME / "install.log", "wb") as file:
        code = subprocess.run(words, stdout=file, stderr=subprocess.STDOUT, cwd=cwd).returncode
    if code != 0:
        sys.exit(f"bench: {words[0]}: exit code {code}; the end of {file.name}:\n" + Path(file.name).read_text(errors="replace")[-2000:])


def cpu_flags():
    line = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "Features"))), "")
    return set(line.partition(":")[2].split())


def has_amx():
    return "amx_int8" in cpu_flags()


def install(jobs):
    """The source package from PyPI, its tools compiled for this machine, and the Python environment of its converter. Does nothing for what is there."""
    HOME.mkdir(parents=True, exist_ok=True)
    if not SOURCE.is_dir():
        # Only this package as source: what computes its metadata may come as a wheel.
        command(sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python", f"llama-cpp-python=={VERSION}", "-d", HOME)
        command("tar", "-xzf", HOME / f"llama_cpp_python-{VERSION}.tar.gz", "-C", HOME)
    # As a user would: GGML_NATIVE, Release. But not with AMX: its MUL_MAT refuses the three-dimensional wo_a that the loader has put into its buffer
    # (GGML_ASSERT(*cur_backend_id != -1) in ggml_backend_sched_split_graph), so that no DeepSeek-V4 runs at all. ggml-cpu appends its own
    # -march=native to ARCH_FLAGS.
    flags = ["-DGGML_NATIVE=ON", "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
             "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_APP=OFF"] + (["-DARCH_FLAGS=-mno-amx-int8"] if has_amx() else [])
    stamp, wanted = BUILD / "installed.json", json.dumps([VERSION, flags, sorted(cpu_flags())])
    if not stamp.exists() or stamp.read_text() != wanted:
        command("cmake", "-S", SOURCE, "-B", BUILD, *flags, log=HOME / "cmake.log")
        command("cmake", "--build", BUILD, "-j", jobs, "--target", *TOOLS, log=HOME / "build.log")
        stamp.write_text(wanted)
    command(bench.REPOSITORY / "tools/test-venv.sh", "peer", log=HOME / "venv.log")


def description():
    """Version and instruction sets, for tables."""
    amx = " without AMX, with which no DeepSeek-V4 runs" if has_amx() else ""
    return f"the one of llama-cpp-python {VERSION}, GGML_NATIVE{amx}, weights not mapped, warm-up before each measurement"


def tool(name):
    return BUILD / "bin" / name


def to_gguf(checkpoint, file, known_tokenizer=True):
    """Its own converter: experts stay MXFP4, FP8 becomes Q8_0, BF16 and F32 stay."""
    script = [SOURCE / "convert_hf_to_gguf.py"] if known_tokenizer else [bench.REPOSITORY / "benchmarks/gguf_toy.py", SOURCE]
    command(PYTHON, *script, checkpoint, "--outfile", file, log=file.with_suffix(".log"))


def quantize(source, file, form, threads):
    """Its own quantizer with its own choices for each tensor (the head of Q4_0 becomes Q6_K)."""
    command(tool("llama-quantize"), "--allow-requantize", source, file, form, threads, log=file.with_suffix(".log"))


def bytes_per_token(file):
    """Bytes of weights that a decoded token reads, by part, from the file's own table of tensors."""
    out = subprocess.run([PYTHON, bench.REPOSITORY / "benchmarks/gguf_bytes.py", SOURCE, file], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def buffers(file, threads):
    """Which kernels: MB of weights by kind of buffer (CPU: as stored; CPU_REPACK: rearranged for wide vector products; AMX)."""
    run = subprocess.run([tool("llama-bench"), "-m", file, "-t", str(threads), "-lm", "none", "-p", "0", "-n", "1", "-r", "1", "-v"], capture_output=True, text=True,
                         errors="replace")
    if run.returncode != 0:
        sys.exit(f"bench: llama-bench {file}: exit code {run.returncode}\n{run.stderr[-2000:]}")
    found = {}
    for name, size in re.findall(r"load_tensors:\s+(\S+) model buffer size =\s+([\d.]+) MiB", run.stderr):
        found[name] = found.get(name, 0) + float(size) * 2**20 / 1e6
    return found


def tokens_per_second(file, threads, prompt, new_tokens, repeats):
    """llama-bench in a process of its own, weights in anonymous memory (no mmap), after its own warm-up runs. {"prefill": ..., "decode": ...}"""
    words = [tool("llama-bench"), "-m", file, "-t", threads, "-lm", "none", "-p", prompt, "-n", new_tokens, "-r", repeats, "-o", "json"]
    measured = bench.run_measured(*words, shown=f"llama-bench {file.name} -t {threads} -lm none -p {prompt} -n {new_tokens} -r {repeats}")
    found = {}
    for test in json.loads(measured.out):
        found["decode" if test["n_gen"] > 0 else "prefill"] = statistics.median(test["samples_ts"])
    return found


def first_token_seconds(file, threads, prompt, repack):
    """Seconds of the whole process (open, mapped; prompt; one token) and the tokens of the prompt. Without the warm-up run that it would make by itself."""
    words = [tool("llama-completion"), "-m", file, "-t", threads, "-p", prompt, "-n", "1", "-c", "4096", "--temp", "0", "-no-cnv", "--no-warmup", "-lm", "mmap"]
    start = time.perf_counter()
    run = subprocess.run([str(word) for word in words] + ([] if repack else ["--no-repack"]), stdin=subprocess.DEVNULL, capture_output=True)
    seconds = time.perf_counter() - start
    if run.returncode != 0:
        sys.exit(f"bench: llama-completion {file}: exit code {run.returncode}\n{run.stderr.decode(errors='replace')[-2000:]}")
    tokens = re.search(rb"prompt eval time =.*?/\s*(\d+) tokens", run.stderr)
    return seconds, int(tokens[1]) if tokens else None
