# dsv4 bench: what it reports, for both programs, and that its bytes are those of the folder.
import csv
import json
import math
import re

import pytest

import program


def bench(folder, *flags):
    return json.loads(program.succeed("bench", folder, "-p", 40, "-n", 4, "--repeats", 2, "--threads", program.THREADS, "--json", *flags).out)


COMMON = ["program", "threads", "prompt_tokens", "decoded_tokens", "decode_position", "open_seconds", "first_token_seconds", "ttft_seconds", "tpot_seconds", "sampler_seconds",
          "prefill_tokens_per_second", "decode_tokens_per_second", "bandwidth_gb_per_second", "bandwidth_four_streams_gb_per_second"]


def test_reports_the_cpu_program(library):
    found = bench(library.folder("toy", "--weight-format", "int4", "--group-size", "32"))
    assert set(COMMON) <= set(found)
    assert (found["program"], found["threads"], found["decode_position"]) == ("cpu", 2, 40)
    for key in COMMON[5:]:
        assert math.isfinite(found[key]) and found[key] > 0, key
    assert found["first_token_seconds"] > found["open_seconds"]
    assert found["decode_tokens_per_second"] == pytest.approx(1 / found["tpot_seconds"])
    parts = found["bytes_per_token"]
    assert parts["total"] == parts["head"] + parts["dense"] + parts["experts"] + parts["cache"]
    assert found["read_gb_per_second"] == pytest.approx(parts["total"] / found["tpot_seconds"] / 1e9)
    assert 0 < found["share_of_bandwidth"] < math.inf
    seconds, read, speeds = (found[f"decode_{what}_by_op"] for what in ("seconds", "bytes", "gb_per_second"))
    assert {"experts", "head", "attention core", "between the ops"} <= set(seconds)
    assert set(seconds) == set(read) == set(speeds)
    assert sum(read.values()) == parts["total"] and read["between the ops"] == 0
    assert read["experts"] > parts["experts"], "the shared expert is read there"
    for part, speed in speeds.items():
        assert speed == pytest.approx(read[part] / seconds[part] / 1e9 if read[part] else 0), part


def test_measures_several_sequences_beside_one(library):
    folder = library.folder("toy", "--weight-format", "int4", "--group-size", "32")
    assert "parallel" not in bench(folder)
    for program_of in ("cpu", "portable"):
        parallel = bench(folder, "--parallel", 3, "--program", program_of)["parallel"]
        assert parallel["sequences"] == 3
        assert parallel["tokens_per_second"] == pytest.approx(3 / parallel["step_seconds"]) and parallel["step_seconds"] > 0
    assert re.search(r"^parallel .* ms a step of 2 sequences, .* tokens/s, .* times one$", program.succeed("bench", folder, "-p", 4, "-n", 2, "--parallel", 2).out, re.M)
    program.refuse("bench", folder, "--parallel", 0, code=2, naming=["--parallel"])


def test_counts_every_byte_of_a_folder_in_which_all_experts_are_selected_once(library):
    folder = library.folder("toy", "--weight-format", "fp32")
    found = bench(folder)
    parts = found["bytes_per_token"]
    config = json.loads((folder / "config.json").read_text())
    experts = 4 * config["num_hidden_layers"] * config["n_routed_experts"] * 3 * config["moe_intermediate_size"] * config["hidden_size"]
    embedding = 4 * (config["vocab_size"] - 1) * config["hidden_size"]  # all rows but one
    assert parts["experts"] == experts * config["num_experts_per_tok"] // config["n_routed_experts"]
    shared = 4 * config["num_hidden_layers"] * 3 * config["moe_intermediate_size"] * config["hidden_size"]
    assert found["decode_bytes_by_op"]["experts"] == parts["experts"] + shared
    whole = (folder / "openvino_model.bin").stat().st_size
    # The rest of the file is padding between constants, and tables of the portable program.
    assert 0 <= whole - (parts["head"] + parts["dense"] + experts + embedding) < 0.1 * whole


def test_reports_the_portable_program_without_bytes(library):
    found = bench(library.folder("toy"), "--program", "portable")
    assert found["program"] == "portable" and "bytes_per_token" not in found
    assert found["tpot_seconds"] > 0 and found["bandwidth_four_streams_gb_per_second"] > 0


def test_decodes_at_a_later_position(library):
    folder = library.folder("toy")
    later, sooner = bench(folder, "--context", 3000), bench(folder)
    assert later["decode_position"] == 3000
    assert later["bytes_per_token"]["cache"] > sooner["bytes_per_token"]["cache"]


def test_the_table_has_a_line_for_each_part(library):
    out = program.succeed("bench", library.folder("toy"), "-p", 8, "-n", 2, "--repeats", 1).out
    for text in ("prefill", "decode", "sampler", "read bandwidth", "one linear stream a thread", "four far apart", "bytes a token", "experts", "between the ops"):
        assert text in out
    by_op = out[out.index("decode by op"):].splitlines()
    assert len(by_op) == 11
    for line in by_op:
        reads_nothing = "between the ops" in line or "attention indexer" in line
        assert bool(re.search(r" (bytes|[kMG]B) +[\d.]+ GB/s$", line)) != reads_nothing, line


def test_several_numbers_are_every_combination(library):
    found = json.loads(program.succeed("bench", library.folder("toy"), "-p", "8,16", "-n", "2,4", "-t", "1,2", "-r", 2, "-o", "json").out)
    assert [(one["threads"], one["prompt_tokens"], one["decoded_tokens"]) for one in found] == [
        (threads, prompt, decode) for threads in (1, 2) for prompt in (8, 16) for decode in (2, 4)]
    assert all(0 <= one[key] < math.inf for one in found for key in ("ttft_seconds_deviation", "tpot_seconds_deviation"))
    assert any(one["tpot_seconds_deviation"] > 0 for one in found)


def test_one_repeat_of_a_prompt_has_no_deviation(library):
    assert json.loads(program.succeed("bench", library.folder("toy"), "-p", 8, "-n", 2, "-r", 1, "-o", "json").out)["ttft_seconds_deviation"] == 0


def test_rows_for_documents_and_for_programs(library):
    flags = ("-p", "8,16", "-n", 2, "-r", 1)
    markdown = program.succeed("bench", library.folder("toy"), *flags, "-o", "md").out.splitlines()
    assert len(markdown) == 4 and len({line.count("|") for line in markdown}) == 1 and "±" in markdown[2]
    assert [line.split("|")[3].strip() for line in markdown[2:]] == ["8", "16"]
    for which in ("cpu", "portable"):
        rows = list(csv.DictReader(program.succeed("bench", library.folder("toy"), *flags, "-o", "csv", "--program", which).out.splitlines()))
        assert [(row["program"], row["prompt_tokens"], row["decode_position"]) for row in rows] == [(which, "8", "8"), (which, "16", "16")]
        for row in rows:
            assert float(row["decode_tokens_per_second"]) == pytest.approx(1 / float(row["tpot_seconds"]), rel=1e-6)
            assert (int(row["bytes_per_token"]) > 0) if which == "cpu" else row["bytes_per_token"] == ""


@pytest.mark.parametrize("flags", [["-p", "8,"], ["-p", "8,x"], ["-n", ""], ["-t", "1,-1"], ["-p", "8;9"], ["-o", "xml"]], ids=" ".join)
def test_what_is_no_list_is_wrong_usage(library, flags):
    program.refuse("bench", library.folder("toy"), *flags, code=2, naming=[flags[0]])


def test_refuses_what_does_not_fit(library):
    folder = library.folder("toy")
    program.refuse("bench", folder, "-p", 4096, naming=["4096", "4096 + 32"])
    program.refuse("bench", folder, "--context", 100, "--program", "portable", code=2, naming=["--context", "portable"])
    program.refuse("bench", folder, "-p", 0, code=2, naming=["-p"])
