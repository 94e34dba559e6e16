#!/usr/bin/env python3
# Makes the shared libraries that a CUDA build of torch is linked against and a CPU does not need, so that `import torch` works without them.
"""usage: tools/cuda-stand-ins.py TORCH_LIB_FOLDER

PyPI's torch for x86-64 Linux is the CUDA build. Its libraries name libcublas, libcudnn and others, which come as separate packages; the loader wants
every one of them and every symbol of theirs to exist, although without a GPU only their registration of kernels is called. For each library that is named but not in the folder
this writes one with the names and symbol versions that torch asks for, whose functions all answer "no device". Needs readelf and gcc.
"""

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

NO_DEVICE = 100  # cudaErrorNoDevice
# Libraries of the CUDA family, and how the symbols begin that carry no version to tell their library by.
CUDA_LIBRARY = re.compile(r"lib(cu|nv|nccl)[A-Za-z_]*\.so\.\d+")
UNVERSIONED = {"libnccl": "nccl", "libcusparseLt": "cusparseLt", "libcufile": "cuFile", "libnvshmem_host": "nvshmem"}


def readelf(flag, path):
    return subprocess.run(["readelf", "-W", flag, path], check=True, capture_output=True, text=True).stdout


def wanted_symbols(libraries):
    """soname -> {(symbol, version or "")} over all given ELF files; a soname that is only named has an empty set."""
    wanted = defaultdict(set)
    for library in libraries:
        needed = [name for name in re.findall(r"\(NEEDED\).*\[(.+?)\]", readelf("-d", library)) if CUDA_LIBRARY.fullmatch(name)]
        for soname in needed:
            wanted[soname]
        version_file = {}  # symbol version -> soname
        soname = None
        for line in readelf("-V", library).splitlines():
            if match := re.search(r"File: (\S+)", line):
                soname = match[1]
            elif (match := re.search(r"Name: (\S+)\s+Flags", line)) and soname in needed:
                version_file[match[1]] = soname
        for line in readelf("--dyn-syms", library).splitlines():
            fields = line.split()
            if len(fields) < 8 or fields[6] != "UND":
                continue
            symbol, _, version = fields[7].partition("@")
            if version in version_file:
                wanted[version_file[version]].add((symbol, version))
            elif not version:
                for soname in needed:
                    if symbol.startswith(UNVERSIONED.get(soname.partition(".so")[0], "\0")):
                        wanted[soname].add((symbol, ""))
    return wanted


def make_library(path, symbols):
    """A shared library that defines the symbols, each under its version."""
    by_version = defaultdict(list)
    for symbol, version in sorted(symbols):
        by_version[version].append(symbol)
    with tempfile.TemporaryDirectory() as scratch:
        source, script = Path(scratch, "symbols.c"), Path(scratch, "versions.map")
        source.write_text("".join(f"long {symbol}(void) {{ return {NO_DEVICE}; }}\n" for symbol, _ in sorted(symbols)))
        script.write_text("".join(f"{version} {{ global: {' '.join(name + ';' for name in names)} }};\n" for version, names in by_version.items() if version))
        subprocess.run(["gcc", "-w", "-shared", "-fPIC", "-fno-builtin", source, f"-Wl,-soname,{path.name}",
                        *([f"-Wl,--version-script,{script}"] if script.stat().st_size else []), "-o", path], check=True)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    for soname, symbols in wanted_symbols(sorted(folder.glob("*.so*"))).items():
        if not (folder / soname).exists():
            make_library(folder / soname, symbols)


if __name__ == "__main__":
    main()
