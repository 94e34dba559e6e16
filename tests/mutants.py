# Damaged checkpoints and model folders: a generator that makes the same ones of the same number everywhere, and the judge of what the program says of them.
import json
import os
import random
import re
import resource
import shutil
import struct
import subprocess
from pathlib import Path

import program

ODD_VALUES = [None, True, False, -1, 0, 1, 2, 3, 7, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**62, 2**63, 2**64, 10**30, -(2**63), 0.0, -0.5, 1e-320, 1e300, "", "x", "0",
              "1048576", "deepseek_v4", "float8_e4m3fn", "../../etc/passwd", "a" * 5000, "\u009b31m\u202e\n", "\u2028", [], [0], [1] * 3000, [[]], {}, {"a": {"b": [1]}}]
ODD_NAMES = ["", "x", "layers.0.attn.wq_a.weight", "layers.99.attn.wq_a.weight", "layers.-1.ffn.experts.0.w1.weight", "mtp.0.head.weight", "__metadata__", "a" * 3000,
             "layers.0\u009b\u202e", "../model", "layers.18446744073709551616.attn.wkv.weight"]
DTYPES = ["F32", "F16", "BF16", "F64", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "I8", "U8", "I16", "I32", "I64", "BOOL", "C64", "", "Q4"]
SECONDS = 300  # many times what any of them takes, for machines that do other things too
# What terminals obey, and what turns lines round.
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def damage_bytes(random_, data):
    """One to thirty bytes or a stretch of them changed, taken out, doubled or cut off."""
    data = bytearray(data)
    kind = random_.randrange(6)
    at = random_.randrange(len(data) + 1)
    length = min(random_.choice([1, 1, 4, 30, 500]), len(data) - at)
    if kind == 0 and data:
        for _ in range(random_.choice([1, 3, 20])):
            data[random_.randrange(len(data))] = random_.randrange(256)
    elif kind == 1:
        del data[at:at + length]
    elif kind == 2:
        data[at:at] = data[at:at + length]
    elif kind == 3:
        data[at:at + length] = bytes([random_.choice([0, 255, 0x7F, 0x80])]) * length
    elif kind == 4:
        del data[at:]
    else:
        data += bytes(random_.randrange(256) for _ in range(random_.choice([1, 8, 5000])))
    return bytes(data)


def nodes(tree, path=()):
    """Paths of all values of a JSON document."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from nodes(value, (*path, key))


def damage_tree(random_, tree):
    """One value of a document replaced, taken out, renamed or nested."""
    paths = [path for path in nodes(tree) if path]
    if not paths:
        return random_.choice(ODD_VALUES)
    *parents, key = random_.choice(paths)
    at = tree
    for parent in parents:
        at = at[parent]
    kind = random_.randrange(5)
    if kind == 0:
        del at[key]
    elif kind == 1 and isinstance(at, dict):
        at[random_.choice([*ODD_NAMES, str(key) + "x"])] = at.pop(key)
    elif kind == 2:
        at[key] = [at[key]]
    elif kind == 3 and isinstance(at[key], (int, float)):
        at[key] += random_.choice([-1, 1, 64])
    else:
        at[key] = random_.choice(ODD_VALUES)
    return tree


def damage_json(random_, path):
    text = path.read_text()
    if random_.randrange(4) == 0:
        path.write_bytes(damage_bytes(random_, text.encode()))
        return
    tree = json.loads(text)
    for _ in range(random_.choice([1, 1, 2, 5])):
        tree = damage_tree(random_, tree)
        if not isinstance(tree, dict):
            break
    path.write_bytes(json.dumps(tree, ensure_ascii=random_.randrange(2) == 0).encode("utf-8", "surrogatepass"))


def damage_shard(random_, path):
    """The header as a document or as text, the length in front of it, or anything."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    kind = random_.randrange(6)
    if kind == 0:
        path.write_bytes(struct.pack("<Q", random_.choice([0, 1, length - 1, length + 1, len(data), 2**31, 2**63, 2**64 - 1])) + data[8:])
    elif kind == 1:
        header = damage_bytes(random_, data[8:8 + length])
        path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + length:])
    elif kind == 2:
        path.write_bytes(data[:8 + length] + damage_bytes(random_, data[8 + length:]))
    elif kind == 3:
        path.write_bytes(damage_bytes(random_, data))
    else:
        tree = json.loads(data[8:8 + length])
        names = [name for name in tree if name != "__metadata__"]
        name = random_.choice(names)
        entry = tree[name]
        what = random_.randrange(7)
        if what == 0:
            entry["dtype"] = random_.choice(DTYPES)
        elif what == 1:
            entry["shape"] = random_.choice([entry["shape"][::-1], [*entry["shape"], 1], entry["shape"][:-1], [2**40, 2**40], [-1], [0], [1.5]])
        elif what == 2:
            entry["data_offsets"] = random_.choice([entry["data_offsets"][::-1], [0, 0], [0, 2**63], [-1, 1], [entry["data_offsets"][0]]])
        elif what == 3:
            tree[random_.choice(ODD_NAMES)] = tree.pop(name)
        elif what == 4:
            other = random_.choice(names)
            tree[name], tree[other] = tree[other], tree[name]
        elif what == 5:
            tree["__metadata__"] = random_.choice(ODD_VALUES)
        else:
            tree = damage_tree(random_, tree)
        header = json.dumps(tree).encode("utf-8", "surrogatepass")
        path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + length:])


XML_TOKENS = ["-1", "0", "1", "3", "18446744073709551616", "4294967295", "9223372036854775807", "nan", "", "u4", "f32", "i64", "dynamic", "Parameter", "TopK", "Result", "?", "..1000000"]


def damage_xml(random_, path):
    """Attributes, whole lines, or anything."""
    text = path.read_text()
    kind = random_.randrange(6)
    if kind == 0:
        path.write_bytes(damage_bytes(random_, text.encode()))
        return
    lines = text.splitlines(keepends=True)
    for _ in range(random_.choice([1, 1, 3])):
        at = random_.randrange(len(lines))
        if kind == 1:
            lines[at] = ""
        elif kind == 2:
            lines[at] = lines[random_.randrange(len(lines))]
        elif kind == 3:
            attributes = list(re.finditer(r'"([^"]*)"|>([^<\n]+)<', lines[at]))
            if attributes:
                span = (match := random_.choice(attributes)).span(1 if match.group(1) is not None else 2)
                lines[at] = lines[at][:span[0]] + random_.choice(XML_TOKENS) + lines[at][span[1]:]
        elif kind == 4:
            constants = [i for i, line in enumerate(lines) if "<data " in line and "offset=" in line]
            at = random_.choice(constants)
            shape = re.search(r'shape="([^"]*)"', lines[at])
            change = random_.randrange(3)
            if change == 0:
                lines[at] = lines[at].replace(shape.group(0), 'shape="' + ", ".join(reversed(shape.group(1).split(", "))) + '"')
            elif change == 1:
                lines[at] = re.sub(r'element_type="[^"]*"', f'element_type="{random_.choice(["u4", "i4", "u8", "i8", "f16", "f32", "i32", "i64", "f4e2m1", "f8e8m0"])}"', lines[at])
            else:
                lines[at] = re.sub(r'(offset|size)="\d+"', lambda m: f'{m.group(1)}="{random_.choice([0, 1, 64, 2**31, 2**63, 2**64 - 1])}"', lines[at], count=1)
        else:
            lines[at] = lines[at] + lines[at]
    path.write_text("".join(lines))


def damage_entry(random_, path):
    """Something else than the file, or none."""
    kind = random_.randrange(9)
    data = path.read_bytes()
    path.unlink()
    if kind == 1:
        path.write_bytes(b"")
    elif kind == 2:
        path.mkdir()
    elif kind == 3:
        os.mkfifo(path)
    elif kind == 4:
        path.symlink_to(path)
    elif kind == 5:
        path.symlink_to("/dev/zero")
    elif kind == 6:
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    elif kind == 7:
        path.write_bytes(b"<!DOCTYPE html><html>\x1b[31m not found</html>")
    elif kind == 8:
        path.symlink_to("/etc/passwd")
    else:
        path.with_name(path.name + "\u202e.bak").write_bytes(data)


def damage_file(random_, path):
    if random_.randrange(12) == 0:
        damage_entry(random_, path)
    elif path.suffix == ".safetensors":
        damage_shard(random_, path)
    elif path.suffix == ".json" and path.stat().st_size < 200000:
        damage_json(random_, path)
    elif path.suffix == ".xml":
        damage_xml(random_, path)
    else:
        path.write_bytes(damage_bytes(random_, path.read_bytes()))


def make(source, target, number, weights):
    """A copy of `source` in which a file or two are damaged, named by `number`; `weights`: how often which file is taken. Returns the names of the damaged."""
    random_ = random.Random(number)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("expected*", "tokens*", "provenance*"))
    there = [name for name in weights if (target / name).is_file()]
    names = random_.choices(there, [weights[name] for name in there], k=random_.choice([1, 1, 1, 2]))
    for name in dict.fromkeys(names):
        damage_file(random_, target / name)
    return names


class Found(AssertionError):
    """What is wrong with the program's answer."""


def judge(arguments, place, cwd):
    """Runs the program below the directory `cwd`; raises Found unless it ends as it has to: exit code 0, 1 or 2 in good time and with little memory; standard error of
    lines that begin with "dsv4: "; for a failure one line that names a file of `place`, and nothing on standard output. Returns the exit code."""
    process = subprocess.Popen([program.executable(), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd)
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Found(f"hangs: {arguments}") from None
    text = err.decode("utf-8", "surrogateescape")

    def require(holds, what):
        if not holds:
            raise Found(f"{what}: exit code {process.returncode} of {' '.join(map(str, arguments))}: {text[:3000]!r}")

    require(process.returncode in (0, 1, 2), "the exit code")
    require(not CONTROLS.search(text) and not re.search("[\udc80-\udcff]", text), "control characters")
    lines = text.splitlines()
    require(all(line.startswith("dsv4: ") and len(line.encode()) < 2000 for line in lines), "lines on standard error")
    require("Exception from" not in text and not re.search(r"\bsrc/\w", text), "places in sources")
    errors = [line for line in lines if line.startswith("dsv4: error: ")]
    require(len(errors) == (0 if process.returncode == 0 else 1), "one error line")
    if errors:
        require(lines[-1] == errors[0], "the error is the last line")
        require(str(place) in errors[0] or any(name in errors[0] for name in os.listdir(place) if len(name) > 3), "the line names no file")
        require(out == b"", "output of a failure")
    return process.returncode


def peak_memory():
    """Bytes that the largest program so far had in memory."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


CHECKPOINT_FILES = {"config.json": 6, "model.safetensors": 6, "model-00001-of-00002.safetensors": 4, "model-00002-of-00002.safetensors": 2, "model.safetensors.index.json": 3,
                    "generation_config.json": 1, "tokenizer.json": 2, "tokenizer_config.json": 1}
FOLDER_FILES = {"openvino_model.xml": 8, "openvino_model.bin": 6, "config.json": 4, "dsv4_files.json": 2, "generation_config.json": 1}
FORMATS = [["--weight-format", "fp32"], ["--weight-format", "fp16"], ["--weight-format", "int8"], ["--weight-format", "int8", "--disable-stateful"],
           ["--weight-format", "int4", "--group-size", "32", "--group-size-fallback", "adjust"], ["--weight-format", "mxfp4", "--experts", "gather"]]


def try_checkpoint(source, directory, number):
    """A mutant of a checkpoint: inspect and convert. Nothing may be left but the output of a conversion that succeeded. Returns the exit codes."""
    place = Path(directory) / f"mutant-{number}"
    work = place.with_suffix(".work")
    work.mkdir()
    try:
        make(source, place, number, CHECKPOINT_FILES)
        random_ = random.Random(-number)
        codes = [judge(["inspect", place, *random_.choice([[], ["--json"]])], place, work),
                 judge(["convert", "-m", place, work / "out", *random_.choice(FORMATS), *random_.choice([[], ["--layers", "2"], ["--dry-run"]])], place, work)]
        left = sorted(os.listdir(work))
        if left not in ([], ["out"] if codes[1] == 0 else []):
            raise Found(f"left behind by mutant {number}: {left}")
        return codes
    finally:
        shutil.rmtree(work)
        remove(place)


def try_folder(source, directory, number):
    """A mutant of a model folder: one of the commands that open it, with either program. Its files may not change. Returns the exit code."""
    place = Path(directory) / f"mutant-{number}"
    try:
        make(source, place, number, FOLDER_FILES)
        random_ = random.Random(-number)
        if random_.randrange(3) == 0 and (place / "dsv4_files.json").is_file():  # as folders made by dsv4 0.1 are: nothing tells what the files were
            (place / "dsv4_files.json").unlink()
        before = listing(place)
        tokens = place.with_suffix(".tokens")
        tokens.write_text("1,2,3,4,5")
        which = ["--program", random_.choice(["cpu", "portable"]), "--threads", "1"]
        command = random_.choice([["run", place, "--tokens", "1,2,3", "-n", "2", *which], ["run", place, "--tokens", "1,2,3", "-n", "2", *which],
                                  ["perplexity", place, "--tokens-file", tokens, *which], ["inspect", place],
                                  ["bench", place, "-p", "3", "-n", "1", "--repeats", "1", *which]])
        code = judge(command, place, directory)
        if listing(place) != before:
            raise Found(f"files of mutant {number} changed: {command}")
        return code
    finally:
        place.with_suffix(".tokens").unlink(missing_ok=True)
        remove(place)


def try_graph_constants(source, directory, number):
    """A model folder without a list in which one to three bytes of the graph's own constants (shapes, axes, bounds) are others: the portable program, which OpenVINO makes
    of them. Returns the exit code."""
    place = Path(directory) / f"mutant-{number}"
    try:
        shutil.copytree(source, place)
        part = json.loads((place / "dsv4_files.json").read_text())["files"]["openvino_model.bin"]["graph_constants"]
        (place / "dsv4_files.json").unlink()
        random_ = random.Random(number)
        data = bytearray((place / "openvino_model.bin").read_bytes())
        for _ in range(random_.choice([1, 1, 3])):
            at = part["offset"] + random_.randrange(part["bytes"])
            data[at] = random_.choice([data[at] ^ (1 << random_.randrange(8)), 0, 255, 0x7F, 0x80, random_.randrange(256)])
        (place / "openvino_model.bin").write_bytes(data)
        return judge(["run", place, "--tokens", "1,2,3,4,5,6", "-n", "3", "--program", "portable", "--threads", "1"], place, directory)
    finally:
        remove(place)


def listing(directory):
    return sorted((entry.name, entry.stat(follow_symlinks=False).st_size) for entry in os.scandir(directory))


def remove(path):
    shutil.rmtree(path, ignore_errors=True)
