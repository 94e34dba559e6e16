# dsv4 run and verify: tokens and model folders that cannot be run are refused with exit code 1 and one line that names the cause.
import json
import os
import re
import shutil

import pytest

import goldens
import program
from rewritten import edit_config

TOY = goldens.CHECKPOINTS["toy"]


@pytest.mark.parametrize("tokens,naming", [
    ("1,x,3", ["x"]), ("1,2.5", ["2.5"]), (" , ", ["--tokens"]), ("99999999999999999999", ["99999999999999999999"]), ("0x10", ["0x10"]),
])
def test_text_that_is_no_token_id_is_wrong_usage(library, tokens, naming):
    program.refuse("run", library.folder("toy"), "--tokens", tokens, code=2, naming=naming)


@pytest.mark.parametrize("tokens,naming", [("1,-2", ["-2"]), ("1,512", ["512", "511"])])
def test_token_ids_that_the_vocabulary_does_not_have(library, tokens, naming):
    program.refuse("run", library.folder("toy"), "--tokens", tokens, naming=naming)


def test_empty_token_list_is_wrong_usage(library):
    program.refuse("run", library.folder("toy"), "--tokens", "", code=2, naming=["--tokens"])


@pytest.mark.parametrize("text", ["", "[]", "[1,2", "{}", '["a"]', "[1,[2]]", "1,2\0"])
def test_token_files(library, tmp_path, text):
    (tmp_path / "tokens").write_text(text)
    program.refuse("run", library.folder("toy"), "--tokens-file", tmp_path / "tokens", naming=[tmp_path / "tokens"])


def test_token_file_that_is_not_there_or_a_directory(library, tmp_path):
    program.refuse("run", library.folder("toy"), "--tokens-file", tmp_path / "none", naming=[tmp_path / "none"])
    program.refuse("run", library.folder("toy"), "--tokens-file", tmp_path, naming=[tmp_path])


def test_prompt_longer_than_the_model_was_made_for(library, tmp_path):
    (tmp_path / "tokens").write_text(",".join(["7"] * 4097))  # the toy's max_position_embeddings is 4096
    program.refuse("run", library.folder("toy"), "--tokens-file", tmp_path / "tokens", naming=["4097", "4096"])


def test_generation_past_what_the_model_was_made_for(library, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("toy"), folder)
    edit_config(folder, max_position_embeddings=16)
    whole = program.generate(folder, range(10), 7, "--ignore-eos")  # the last token needs no position
    ended = program.generate(folder, range(10), 8, "--ignore-eos")
    assert ended["tokens"] == whole["tokens"] and ended["finish_reason"] == "length"
    program.refuse("run", folder, "--tokens", program.token_list(range(17)), "-n", 1, naming=["17", "16"])


@pytest.mark.parametrize("which", ["cpu", "portable"])
def test_generation_past_the_context_asked_for(library, which):
    """All that fits is printed, and the exit code is 0."""
    folder, prompt = library.folder("toy"), program.token_list(range(8))
    flags = ("--tokens", prompt, "-n", 50, "--context", 12, "--ignore-eos", "--program", which, *program.EXACT)
    whole = program.generate(folder, range(8), 50, "--ignore-eos", "--program", which)["tokens"]
    found = json.loads(program.succeed("run", folder, *flags, "--json").out)
    assert found["tokens"] == whole[:5] and found["finish_reason"] == "length"
    outcome = program.succeed("run", folder, *flags)
    assert outcome.out == program.token_list(whole[:5]) + "\n"
    assert "12 tokens" in outcome.err and all(line.startswith("dsv4: ") for line in outcome.err.splitlines())


@pytest.mark.parametrize("missing", ["openvino_model.xml", "openvino_model.bin", "config.json"])
def test_model_folder_with_a_file_missing(library, tmp_path, missing):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("toy"), folder)
    (folder / missing).unlink()
    program.refuse("run", folder, "--tokens", "1,2", naming=[missing])


@pytest.mark.parametrize("size", [2000, 0])
@pytest.mark.parametrize("damaged", ["openvino_model.xml", "openvino_model.bin"])
def test_model_folder_with_a_truncated_file(library, tmp_path, damaged, size):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("toy"), folder)
    os.truncate(folder / damaged, size)
    program.refuse("run", folder, "--tokens", "1,2", naming=["openvino_model"])


def test_a_damaged_table_is_the_same_line_on_any_number_of_threads_and_one_core(library, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("hash"), folder)
    table = re.search(r'name="layers.0.ffn.gate.tid2eid"[^>]*>\s*<data ([^>]*)>', (folder / "openvino_model.xml").read_text()).group(1)
    offset, size, rows = (int(re.search(rf'{key}="(\d+)', table).group(1)) for key in ("offset", "size", "shape"))
    with open(folder / "openvino_model.bin", "r+b") as file:
        file.seek(offset + 42 * size // rows)
        file.write((30000).to_bytes(4, "little"))
    run = ("run", folder, "--tokens", "1,2,42,7", "-n", 3)
    line = program.refuse(*run, "--threads", 1, naming=["expert 30000", "token 42"])
    assert program.refuse(*run, "--threads", 2) == line
    assert program.refuse(*run, preexec_fn=lambda: os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])) == line


def test_folders_that_are_not_what_they_should_be(library, tmp_path):
    program.refuse("run", tmp_path / "none", "--tokens", "1", naming=[tmp_path / "none"])
    program.refuse("run", TOY, "--tokens", "1", naming=["openvino_model.xml"])
    program.refuse("convert", "-m", tmp_path / "none", tmp_path / "out", naming=[tmp_path / "none"])
    program.refuse("convert", "-m", library.folder("toy"), tmp_path / "out", naming=[library.folder("toy")])
    program.refuse("verify", goldens.CHECKPOINTS["hash"], library.folder("toy"), naming=[library.folder("toy")])
    program.refuse("inspect", tmp_path / "none", naming=[tmp_path / "none"])
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_dsv4_did_not_make(library, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(library.folder("toy"), folder)
    xml = folder / "openvino_model.xml"
    xml.write_text(xml.read_text().replace('"position_ids"', '"places"'))
    program.refuse("run", folder, "--tokens", "1", naming=[folder])


def test_verify_past_what_the_model_was_made_for(library):
    program.refuse("verify", TOY, library.folder("toy"), "--length", 5000, naming=["5000", "4096"])


def test_logits_path_in_a_directory_that_is_not_there(library, tmp_path):
    path = tmp_path / "none/logits.npy"
    program.refuse("run", library.folder("toy"), "--tokens", "1,2", "-n", 0, "--logits", path, naming=[path])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_for_logits_costs_no_tokens(library):
    outcome = program.run("run", library.folder("toy"), "--tokens", "1,2", "-n", 3, "--json", "--logits", "/dev/full")
    assert outcome.code == 1 and len(outcome.err.splitlines()) == 1 and "/dev/full" in outcome.err
    assert len(json.loads(outcome.out)["tokens"]) == 3
