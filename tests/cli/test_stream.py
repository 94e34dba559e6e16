# --weights stream: experts from the drive through a bounded cache, from the command line.
import json
import subprocess

import pytest

import program

TOKENS = "3,1,4,1,5,9,2,6"


@pytest.fixture
def int4(library):
    return library.folder("hash", "--weight-format", "int4", "--group-size", "32")


def generated(folder, *flags):
    return program.succeed("run", folder, "--tokens", TOKENS, "-n", 24, "--ignore-eos", "--threads", program.THREADS, *flags)


def measured(folder, *flags):
    return json.loads(generated(folder, "--json", *flags).out)


def sizes(folder):
    config = json.loads((folder / "config.json").read_text())
    return config["num_hidden_layers"], config["n_routed_experts"], config["num_experts_per_tok"]


def test_gives_the_tokens_of_loaded_weights_and_says_what_it_did(int4):
    loaded, streamed = generated(int4, "--weights", "load"), generated(int4, "--weights", "stream")
    assert streamed.out == loaded.out
    lines = streamed.err.splitlines()
    assert all(line.startswith("dsv4: ") for line in lines)
    assert "experts come from the drive: 100 % of the routed ones fit into memory" in lines[0] and "reads are " in lines[0]
    assert "requests were resident" in lines[-1] and "a token from the drive" in lines[-1] and "of the time waited" in lines[-1]
    assert "experts" not in loaded.err


def test_json_counts_requests_and_bytes(int4):
    layers, experts, per_token = sizes(int4)
    found = measured(int4, "--weights", "stream")["experts"]
    assert found["requests"] == 23 * layers * per_token, "23 tokens are fed after the prompt"
    assert found["resident_share"] == 1 and found["read_in_place"] == 0
    assert 0 <= found["hit_share"] <= 1 and 0 <= found["share_of_time_waited"] < 1
    assert found["bytes_per_token"] == pytest.approx(found["bytes_read"] / 23)
    slot = found["cache_bytes"] / (layers * experts)
    assert 0 < found["bytes_read"] + found["prompt_bytes_read"] <= layers * experts * slot, "each expert once"
    assert "experts" not in measured(int4, "--weights", "map")


def test_bench_compares_with_the_drive(int4):
    found = json.loads(program.succeed("bench", int4, "-p", 8, "-n", 4, "-r", 1, "--weights", "stream", "--json").out)["experts"]
    layers, _, per_token = sizes(int4)
    assert found["requests"] == 4 * layers * per_token and found["drive_gb_per_second"] >= 0
    text = program.succeed("bench", int4, "-p", 8, "-n", 4, "-r", 1, "--weights", "stream").out
    assert "\nexperts  " in text and "\ndrive  " in text


def test_routes_are_those_of_the_table_and_the_same_wherever_experts_lie(int4, tmp_path):
    layers, experts, per_token = sizes(int4)
    for weights in ("map", "stream"):
        generated(int4, "--weights", weights, "--routes", tmp_path / weights)
    text = (tmp_path / "map").read_text()
    assert (tmp_path / "stream").read_text() == text
    rows = [[int(word) for word in line.split()] for line in text.splitlines()]
    assert [row[0] for row in rows] == list(range(layers)) * (8 + 23)
    assert all(len(row) == 1 + per_token and all(0 <= expert < experts for expert in row[1:]) for row in rows)
    assert rows[1 * layers] == rows[3 * layers], "layer 0 has a table, and the second and fourth token are the same"


def test_a_profile_is_written_and_makes_a_warm_start(int4, tmp_path):
    profile = tmp_path / "usage"
    first = generated(int4, "--weights", "stream", "--expert-profile", profile)
    assert profile.exists() and [file.name for file in tmp_path.iterdir()] == ["usage"]
    before = profile.read_bytes()
    assert generated(int4, "--weights", "stream", "--expert-profile", profile).out == first.out
    assert profile.read_bytes() != before
    profile.write_bytes(before[:-1])
    program.refuse("run", int4, "--tokens", TOKENS, "--weights", "stream", "--expert-profile", profile, naming=[str(profile), "damaged"])
    assert profile.read_bytes() == before[:-1]


def test_options_without_effect_are_errors(library, int4, tmp_path):
    for flags in (["--expert-cache", "1"], ["--expert-profile", tmp_path / "usage"]):
        for weights in ([], ["--weights", "map"]):
            program.refuse("run", int4, "--tokens", "1", *flags, *weights, code=2, naming=[flags[0], "--weights stream"])
    program.refuse("run", int4, "--tokens", "1", "--weights", "stream", "--program", "portable", code=2, naming=["--weights stream", "portable"])
    program.refuse("run", int4, "--tokens", "1", "--routes", tmp_path / "routes", "--program", "portable", code=2, naming=["--routes", "portable"])
    program.refuse("run", library.folder("toy", "--disable-stateful"), "--tokens", "1", "--weights", "stream", naming=["--weights stream", "--program cpu"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("amount", ["0", "-1", "much", "1e9", "nan", "1x"])
def test_a_size_that_is_none_is_refused(int4, amount):
    program.refuse("run", int4, "--tokens", "1", "--weights", "stream", f"--expert-cache={amount}", code=2, naming=["--expert-cache", amount])


def test_a_cache_below_two_tokens_is_refused_with_what_is_needed(int4):
    program.refuse("run", int4, "--tokens", "1", "--weights", "stream", "--expert-cache", "0.00001",
                   naming=["too small", "the experts of two tokens take", "--expert-cache"])
    program.refuse("run", int4, "--tokens", "1", "--routes", "/nowhere/routes", naming=["/nowhere/routes"])


def test_two_processes_read_one_folder(int4):
    command = [program.executable(), "run", int4, "--tokens", TOKENS, "-n", "100", "--ignore-eos", "--weights", "stream", "--threads", "1"]
    both = [subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert outputs[0] == outputs[1] and outputs[0].count(",") == 99
    assert [process.returncode for process in both] == [0, 0]
