# dsv4 bench: what it reports, for both programs, and that its bytes are those of the folder.
import json
import math

import pytest

import program


def bench(folder, *flags):
    return json.loads(program.succeed("bench", folder, "-p", 40, "-n", 4, "--repeats", 2, "--threads", program.THREADS, "--json", *flags).out)


COMMON = ["program", "threads", "prompt_tokens", "decoded_tokens", "decode_position", "open_seconds", "first_token_seconds", "ttft_seconds", "tpot_seconds",
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
    for text in ("prefill", "decode", "read bandwidth", "one linear stream a thread", "four far apart", "bytes a token", "experts", "between the ops"):
        assert text in out
    by_op = out[out.index("decode by op"):].splitlines()
    assert len(by_op) == 11
    for line in by_op:
        reads_nothing = "between the ops" in line or "attention indexer" in line
        assert ("MB" in line and "GB/s" in line) != reads_nothing, line


def test_refuses_what_does_not_fit(library):
    folder = library.folder("toy")
    program.refuse("bench", folder, "-p", 4096, naming=["4096", "4096 + 32"])
    program.refuse("bench", folder, "--context", 100, "--program", "portable", code=2, naming=["--context", "portable"])
    program.refuse("bench", folder, "-p", 0, code=2, naming=["-p"])
