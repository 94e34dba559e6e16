# dsv4 run --save and --restore: what the next process goes on with, and what is refused.
import json

import numpy as np
import pytest

import program

PROGRAMS = [("--program", "cpu"), ("--program", "portable")]


def run(folder, *arguments):
    return json.loads(program.succeed("run", folder, *arguments, "--json").out)["tokens"]


@pytest.mark.parametrize("flags", PROGRAMS, ids=lambda flags: flags[1])
def test_the_next_process_goes_on_behind_prompt_and_text(library, tmp_path, flags):
    golden = library.golden("toy")
    folder, state = library.folder("toy"), tmp_path / "state"
    first, second = list(golden.tokens[:137]), list(golden.tokens[137:150])
    generated = run(folder, "--tokens", program.token_list(first), "-n", 5, "--ignore-eos", "--save", state, *flags)
    assert len(generated) == 5
    found = run(folder, "--restore", state, "--tokens", program.token_list(second), "-n", 6, "--ignore-eos", *flags)
    whole = first + generated + second
    assert found == run(folder, "--tokens", program.token_list(whole), "-n", 6, "--ignore-eos", *flags)


def test_a_prompt_alone_is_saved_and_a_longer_one_over_it(library, tmp_path):
    golden = library.golden("toy")
    folder, state = library.folder("toy"), tmp_path / "state"
    assert run(folder, "--tokens", program.token_list(golden.tokens[:40]), "-n", 0, "--save", state) == []
    assert run(folder, "--restore", state, "--tokens", program.token_list(golden.tokens[40:90]), "-n", 0, "--save", state) == []
    logits = tmp_path / "logits.npy"
    program.succeed("run", folder, "--restore", state, "--tokens", program.token_list(golden.tokens[90:120]), "-n", 0, "--logits", logits)
    whole = tmp_path / "whole.npy"
    program.succeed("run", folder, "--tokens", program.token_list(golden.tokens[:120]), "-n", 0, "--logits", whole)
    assert (np.load(logits) == np.load(whole)[90:]).all()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_text_goes_on_without_a_beginning_of_sequence_token(library, tmp_path):
    folder, state = library.folder("mini"), tmp_path / "state"
    start, more = "In the beginning", " God created the heaven"
    program.succeed("run", folder, "-p", start, "-n", 0, "--save", state)
    ids = [json.loads(program.succeed("tokenize", folder, "-p", text, "--no-bos", "--json").out)["tokens"] for text in (start, more)]
    bos = json.loads(program.succeed("tokenize", folder, "-p", start, "--json").out)["tokens"][:1]
    found = run(folder, "--restore", state, "-p", more, "-n", 8, "--ignore-eos")
    assert found == run(folder, "--tokens", program.token_list(bos + ids[0] + ids[1]), "-n", 8, "--ignore-eos")


def test_damaged_and_foreign_files_are_refused(library, tmp_path):
    folder, state = library.folder("toy"), tmp_path / "state"
    refuse = lambda *flags, naming: program.refuse("run", folder, "--tokens", "1,2", "-n", 1, "--restore", state, *flags, naming=[state, *naming])
    refuse(naming=["No such file"])
    program.succeed("run", folder, "--tokens", "1,2,3", "-n", 0, "--save", state)
    refuse("--cache", "f32", naming=["other options"])
    refuse("--program", "portable", naming=["other options"])
    program.refuse("run", library.folder("hash"), "--tokens", "1,2", "-n", 1, "--restore", state, naming=[state, "another model"])
    good = state.read_bytes()
    state.write_bytes(good[:-100])
    refuse(naming=["damaged"])
    state.write_bytes(good[:300] + bytes([good[300] ^ 1]) + good[301:])
    refuse(naming=["damaged"])
    state.write_bytes(b"{}")
    refuse(naming=["no snapshot"])


def test_places_where_nothing_can_be_written_are_refused_at_once(library, tmp_path):
    folder = library.folder("toy")
    for path in (tmp_path / "none" / "state", tmp_path, "/dev/null"):
        program.refuse("run", folder, "--tokens", "1,2", "-n", 1, "--save", path, naming=[path])


def test_a_context_without_room_for_the_last_token_saves_nothing(library, tmp_path):
    folder, state = library.folder("toy"), tmp_path / "state"
    outcome = program.run("run", folder, "--tokens", "1,2", "-n", 4, "--ignore-eos", "--context", 5, "--save", state)
    assert outcome.code == 1 and outcome.out.count(",") == 3  # what was generated is not lost
    assert outcome.err.splitlines()[-1].startswith("dsv4: error: ") and str(state) in outcome.err and "--context" in outcome.err
    assert not state.exists()
    assert len(run(folder, "--tokens", "1,2", "-n", 4, "--ignore-eos", "--context", 6, "--save", state)) == 4
