# dsv4 convert from the outside: the plan that --dry-run prints, and what a signal leaves.
import json
import re
import signal
import subprocess
import time

import pytest

import goldens
import program

FORMATS = ["fp32", "fp16", "int8", "int4", "mxfp4"]


def flags_of(kind):
    return ["--weight-format", kind, *(["--group-size-fallback", "adjust"] if kind == "int4" else [])]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_plan_says_what_the_conversion_does(tmp_path, kind):
    source = goldens.CHECKPOINTS["hash"]
    plan = program.succeed("convert", "-m", source, tmp_path / "model", *flags_of(kind), "--dry-run").out
    assert list(tmp_path.iterdir()) == [], "a plan writes nothing"
    done = program.convert(source, tmp_path / "model", *flags_of(kind)).out
    amount = r"([\d.]+ (?:bytes|kB|MB|GB))"
    sizes = rf"(\d+) weights, {amount} read, openvino_model.bin {amount}, openvino_model.xml {amount}"
    assert re.search(sizes, plan).groups() == re.search(sizes, done).groups()
    assert program.bytes_of(re.search(sizes, done)[3]) == pytest.approx((tmp_path / "model/openvino_model.bin").stat().st_size, rel=0.005)

    rows = re.findall(r"^  (FP4|FP8|BF16|F32|I64) +(\S.*?)  +(\d+) +" + amount + " +" + amount + "$", plan, re.MULTILINE)
    assert rows and sum(program.bytes_of(row[4]) for row in rows) == pytest.approx(program.bytes_of(re.search(sizes, plan)[3]), rel=0.03)
    stored = {published: form for published, form, *_ in rows if published == "FP4"}["FP4"]
    assert stored == {"fp32": "f32", "fp16": "f16", "int8": "u8, a scale a row", "int4": "u4, groups of 128",
                      "mxfp4": "f4e2m1, e8m0 scales of 32"}[kind] or (kind == "int4" and stored.startswith("u4, groups of"))
    assert "memory: about" in plan and "time: about" in plan and "B/s of checkpoint" in plan


def large_config(tmp_path):
    """About a gigabyte of float32: long enough to be interrupted."""
    config = json.loads((goldens.CHECKPOINTS["toy"] / "config.json").read_text())
    config.update(num_hidden_layers=1, compress_ratios=[0], num_nextn_predict_layers=0, hidden_size=1024, moe_intermediate_size=1024,
                  n_routed_experts=80, vocab_size=512)
    path = tmp_path / "large.json"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_stops_the_conversion_and_the_same_command_completes_it(tmp_path, number):
    program.succeed("synth", large_config(tmp_path), tmp_path / "source")
    command = [program.executable(), "convert", "-m", str(tmp_path / "source"), str(tmp_path / "model"), "--weight-format", "fp32"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (tmp_path / "model.partial/openvino_model.bin").exists():
        time.sleep(0.001)
    process.send_signal(number)
    _, err = process.communicate()
    # It was killed by the signal, not by an error; a machine that converted a gigabyte between two looks has nothing left to interrupt.
    assert process.returncode in (-number, 0), err
    if process.returncode == -number:
        assert "interrupted" in err
        assert not (tmp_path / "model").exists()
        program.succeed(*command[1:])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.json", "model", "source"]
    program.convert(tmp_path / "source", tmp_path / "whole", "--weight-format", "fp32")
    assert (tmp_path / "model/openvino_model.bin").read_bytes() == (tmp_path / "whole/openvino_model.bin").read_bytes()
