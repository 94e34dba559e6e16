# lm_eval (EleutherAI's harness) over optimum-intel on our folders: its bits per byte are those of `dsv4 perplexity`. `make test-full` runs it, in build/venv-optimum;
# test_like_optimum.py asks the same of the stand-in.
import json
import math
import os
import subprocess
import sys

import pytest

import client_models
import program
from client_models import TEXTS

pytest.importorskip("lm_eval", reason="no lm_eval for this Python (tests/requirements/lm-eval.txt)")

TASK = """task: verses
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - metric: bits_per_byte
  - metric: byte_perplexity
"""


# As a person starts lm_eval on a folder of the CPU program: optimum-intel's core knows its operations first.
WITH_OPERATIONS = """
import sys
from lm_eval.__main__ import cli_evaluate
from optimum.intel.openvino import modeling_base
modeling_base.core.add_extension(sys.argv.pop(1))
cli_evaluate()
"""


def evaluate(folder, texts, directory, operations=None):
    (directory / "tasks").mkdir()
    (directory / "verses.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (directory / "tasks/verses.yaml").write_text(TASK.format(file=directory / "verses.jsonl"))
    (directory / "ov.json").write_text(json.dumps(client_models.PROPERTIES))
    model = f"pretrained={folder},trust_remote_code=True,ov_config={directory / 'ov.json'}"
    start = ["-m", "lm_eval"] if operations is None else ["-c", WITH_OPERATIONS, operations]
    command = [sys.executable, *start, "--model", "openvino", "--model_args", model, "--tasks", "verses", "--include_path", directory / "tasks",
               "--device", "cpu", "--batch_size", "1", "--output_path", directory / "results"]
    environment = dict(os.environ, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HOME=str(directory / "home"))
    done = subprocess.run(list(map(str, command)), env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (report,) = (directory / "results").rglob("results_*.json")
    return json.loads(report.read_text())["results"]["verses"]


@pytest.mark.parametrize("fast", [False, True], ids=["portable", "cpu"])
@pytest.mark.parametrize("weight_format", ["fp32", "int4"])
def test_bits_per_byte_are_those_of_dsv4_perplexity(clients, tmp_path, weight_format, fast):
    from transformers import AutoTokenizer

    folder = clients.folder("mini", weight_format)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    evaluated, operations = folder, None
    if fast:
        evaluated, operations = tmp_path / "fast", program.executable().parent / "libdsv4_ops.so"
        program.succeed("convert", "--program", "cpu", "--from", folder, evaluated, "--activations", "f32", "--cache", "f32")
    found = evaluate(evaluated, TEXTS, tmp_path, operations)
    bits = bytes_ = 0
    for text in TEXTS:  # each after the begin token
        ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        bits += program.bits_per_byte(folder, ids, text, tmp_path) * len(text.encode())
        bytes_ += len(text.encode())
    assert found["bits_per_byte,none"] == pytest.approx(bits / bytes_, rel=1e-5)
    assert found["byte_perplexity,none"] == pytest.approx(math.exp2(bits / bytes_), rel=1e-5)
