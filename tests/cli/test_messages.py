# What the program says: one line that names its file and begins with "dsv4: ", nothing in it that a terminal obeys, options before models, text of a model escaped on a terminal.
import json
import os
import pty
import random
import re
import shutil
import subprocess

import pytest

import goldens
import mutants
import program
from ir import Ir
from rewritten import edit_config

EVIL = "\u009b31mRED\u009b0m\u202egpj\u2028\x1b[2J"


@pytest.fixture
def copy(tmp_path):
    directory = tmp_path / "checkpoint"
    shutil.copytree(goldens.CHECKPOINTS["hash"], directory, ignore=shutil.ignore_patterns("expected*", "tokens*", "README*", "provenance*"))
    return directory


def refuse(*arguments, naming=(), code=1):
    line = program.refuse(*arguments, naming=naming, code=code)
    assert not mutants.CONTROLS.search(line) and len(line.encode()) < 2000
    return line


def test_texts_of_a_config_are_escaped(copy):
    edit_config(copy, model_type=EVIL)
    assert "\\u009b31mRED\\u009b0m\\u202egpj\\u2028\\u001b[2J" in refuse("inspect", copy, naming=["config.json"])


def test_names_in_an_index_are_escaped_and_shortened(copy):
    index = copy / "model.safetensors.index.json"
    tree = json.loads(index.read_text())
    for name in (EVIL + ".safetensors", "a" * 5000 + ".safetensors", "\udcff" * 100 + ".safetensors"):
        tree["weight_map"][next(iter(tree["weight_map"]))] = name
        index.write_bytes(json.dumps(tree).encode())
        refuse("inspect", copy)


@pytest.mark.parametrize("name", [EVIL, "a" * 250, "line\nbreak", b"latin-\xe9\x9b1m".decode("utf-8", "surrogateescape")], ids=["controls", "long", "line", "latin"])
def test_names_of_directories_are_escaped_and_shortened(tmp_path, name):
    directory = tmp_path
    for _ in range(12 if len(name) > 200 else 1):
        directory = directory / name
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{")
    for command in (["inspect", directory], ["convert", "-m", directory, tmp_path / "out"], ["run", directory, "--tokens", "1"], ["perplexity", directory, "--tokens-file", directory]):
        refuse(*command)


def test_a_prompt_of_controls_is_escaped(library, tmp_path):
    refuse("run", library.folder("toy"), "--tokens", EVIL, code=2)
    refuse("run", library.folder("toy"), "--tokens", "1", "--program", EVIL, code=2, naming=["--program"])
    refuse("run", library.folder("toy"), "--tokens", "1", "--device", EVIL, code=2, naming=["--device"])
    refuse(EVIL, code=2)


@pytest.mark.parametrize("arguments", [
    ["run", "none", "--tokens", "1,x"], ["run", "none", "--tokens", "1", "--temperature", "-1"], ["run", "none", "--tokens", "1", "--temperature", "nan"],
    ["run", "none", "--tokens", "1", "--top-p", "0"], ["run", "none", "--tokens", "1", "--top-p", "1.5"], ["run", "none", "-p", "text", "--device", "NO_SUCH"],
    ["run", "none", "--tokens", "1", "--program", "cpu", "-d", "GPU"], ["run", "none", "--tokens", "1", "--threads", "100000"],
    ["perplexity", "none", "--tokens-file", "none", "--device", "NO_SUCH"], ["verify", "none", "none", "--tolerance", "-1"], ["verify", "none", "none", "--tolerance", "nan"],
    ["verify", "none", "none", "--tokens", "1,2,"], ["verify", "none", "none", "--tokens", "x"], ["bench", "none", "--context", "5", "--program", "portable"],
    ["convert", "-m", "none", "out", "--static-shape", "0,5", "--disable-stateful"], ["convert", "-m", "none", "out", "--static-shape", "5", "--disable-stateful"]], ids=" ".join)
def test_options_are_looked_at_before_models(tmp_path, arguments):
    if arguments[-1] == "1,2,":
        program.refuse(*arguments, cwd=tmp_path, naming=["none"])  # (a comma at the end is no mistake)
    else:
        program.refuse(*arguments, code=2, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_progress_begins_like_every_line(tmp_path):
    master, terminal = pty.openpty()
    process = subprocess.Popen([program.executable(), "synth", "toy", tmp_path / "out"], stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    text = read_terminal(master)
    assert process.wait() == 0
    assert all(part.strip() == "" or part.startswith("dsv4: ") for part in re.split("[\r\n]+", text))


def read_terminal(master):
    text = b""
    try:
        while piece := os.read(master, 65536):
            text += piece
    except OSError:  # the other side is closed
        pass
    os.close(master)
    return text.decode("utf-8", "surrogateescape")


def shown(text):
    """What a terminal is given for a text."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 0x80 else f"\\u{ord(m[0]):04x}", text)


def test_generated_text_is_escaped_on_a_terminal_and_nowhere_else(tmp_path):
    program.succeed("synth", "toy", tmp_path / "checkpoint")  # with a tokenizer of bytes: random weights choose any of them
    program.convert(tmp_path / "checkpoint", tmp_path / "model")
    command = [program.executable(), "run", tmp_path / "model", "-p", "x", "-n", "400", "--temperature", "2", "--seed", "3", "--ignore-eos"]
    piped = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout.decode()
    master, terminal = pty.openpty()
    process = subprocess.Popen(command, stdout=terminal, stderr=subprocess.DEVNULL)
    os.close(terminal)
    text = read_terminal(master)
    assert process.wait() == 0
    assert mutants.CONTROLS.search(piped)
    assert text.replace("\r\n", "\n") == shown(piped)
    printed = program.succeed(*command[1:], "--json").out
    assert not mutants.CONTROLS.search(printed) and json.loads(printed)["text"] + "\n" == piped


# ---- model folders ----------------------------------------------------------------------------------------------------

INT4 = ("mini", "--weight-format", "int4", "--group-size", "32", "--group-size-fallback", "adjust")


def constants(text, suffix):
    """(name, whole <data .../>, shape) of the constants whose names end so."""
    for match in re.finditer(r'name="([^"]*%s)"[^>]*>\s*(<data [^>]*shape="([^"]*)"[^>]*>)' % re.escape(suffix), text):
        yield match.groups()


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("suffix", ["/zero_point", "/scale", ".weight"])
def test_constants_of_other_shapes_are_refused_by_name(library, tmp_path, suffix, listed):
    folder = tmp_path / "model"
    shutil.copytree(library.folder(*INT4), folder)
    xml = folder / "openvino_model.xml"
    text = xml.read_text()
    if not listed:
        (folder / "dsv4_files.json").unlink()
    changed = 0
    for name, data, shape in list(constants(text, suffix))[::12]:
        reverse = ", ".join(reversed(shape.split(", ")))
        if reverse == shape:
            continue
        xml.write_text(text.replace(data, data.replace(f'shape="{shape}"', f'shape="{reverse}"')))
        for which in ("cpu", "portable"):
            line = refuse("run", folder, "--tokens", "1,2", "-n", 1, "--program", which, naming=[xml])
            assert "convert" in line
        changed += 1
    assert changed >= 3


def test_a_changed_xml_and_a_cut_bin_are_told_by_the_list(library, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("toy"), folder)
    xml, weights = folder / "openvino_model.xml", folder / "openvino_model.bin"
    text = xml.read_text()
    xml.write_text(text.replace(" ", "  ", 1))
    refuse("run", folder, "--tokens", "1", naming=[xml, "dsv4_files.json", "convert"])
    xml.write_text(text)
    os.truncate(weights, weights.stat().st_size - 1)
    refuse("run", folder, "--tokens", "1", naming=[weights, "dsv4_files.json", "convert"])


@pytest.mark.parametrize("key", [INT4, ("toy", "--disable-stateful")], ids=["int4", "prefill-only"])
def test_a_damaged_graph_constant_is_told_by_the_list(library, tmp_path, key):
    folder = tmp_path / "model"
    shutil.copytree(library.folder(*key), folder)
    weights = folder / "openvino_model.bin"
    whole = weights.read_bytes()
    graph = [constant for constant in Ir(folder).constants().values() if constant.name.startswith("Constant_")]  # the others have names of tensors
    assert len(graph) > 50
    part = json.loads((folder / "dsv4_files.json").read_text())["files"]["openvino_model.bin"]["graph_constants"]
    first, end = part["offset"], part["offset"] + part["bytes"]
    assert all(first <= constant.offset and constant.offset + constant.bytes <= end <= len(whole) for constant in graph)
    for constant in random.Random(0).sample(graph, 4):  # an axis, a shape, a bound
        damaged = bytearray(whole)
        damaged[constant.offset] ^= 0xFF
        weights.write_bytes(damaged)
        for which in ("cpu", "portable"):
            refuse("run", folder, "--tokens", "1,2", "-n", 1, "--program", which, naming=[weights, "graph constants", "dsv4_files.json", "convert"])
    weights.write_bytes(whole)


def test_a_list_without_graph_constants_is_one_of_an_earlier_dsv4(library, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("toy"), folder)
    expected = program.generate(folder, [1, 2, 3], 4)["tokens"]
    files = folder / "dsv4_files.json"
    listed = json.loads(files.read_text())
    del listed["files"]["openvino_model.bin"]["graph_constants"]
    files.write_text(json.dumps(listed))
    assert program.generate(folder, [1, 2, 3], 4)["tokens"] == expected
    program.succeed("inspect", folder)


@pytest.mark.parametrize("which", ["cpu", "portable"])
def test_an_inference_that_fails_names_the_folder(library, tmp_path, which):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("toy"), folder)
    weights = bytearray((folder / "openvino_model.bin").read_bytes())
    match = next(m for m in re.finditer(r'name="norm.weight"[^>]*>\s*<data [^>]*offset="(\d+)"', (folder / "openvino_model.xml").read_text()))
    weights[int(match[1]) + 2:int(match[1]) + 4] = b"\xc0\x7f"  # not a number
    (folder / "openvino_model.bin").write_bytes(weights)
    refuse("run", folder, "--tokens", "1,2", "--program", which, naming=[folder, "NaN"])
