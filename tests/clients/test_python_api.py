# `import dsv4` in one process with the clients, in either order: all share one OpenVINO, and each gives what it gives alone.
import importlib.util
import json
import os
import subprocess
import sys

import pytest

import program

PACKAGES = program.executable().parent / "python"
TORCH = ["torch"] if importlib.util.find_spec("torch") else []  # only in the environment of `optimum`
SCRIPT = """
import importlib, json, sys
folder, names = sys.argv[1], sys.argv[2:]
for name in names:
    importlib.import_module(name)
import dsv4, openvino_genai
ours = dsv4.Engine(folder, threads=2, program="portable")
prompt = ours.encode("In the beginning God", add_bos=False)  # as GenAI feeds a plain text
ours_text = ours.generate(prompt, max_new_tokens=6).run().text
pipeline = openvino_genai.LLMPipeline(folder, "CPU", extensions=[dsv4.ops_library()])
theirs = str(pipeline.generate("In the beginning God", max_new_tokens=6, do_sample=False, apply_chat_template=False))
again = ours.generate(prompt, max_new_tokens=6).run().text
libraries = {line.split()[-1] for line in open("/proc/self/maps") if "/libopenvino.so" in line}
print(json.dumps([ours_text, theirs, again, len(libraries)]))
"""


@pytest.mark.parametrize("order", [
    ["dsv4", "openvino", "openvino_genai", *TORCH, "transformers"], ["transformers", *TORCH, "openvino_genai", "openvino", "dsv4"],
], ids=["first", "last"])
def test_one_process_holds_all(library, order):
    folder = library.folder("mini", "--weight-format", "int8")
    environment = dict(os.environ, PYTHONPATH=str(PACKAGES))
    done = subprocess.run([sys.executable, "-c", SCRIPT, folder, *order], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs, again, libraries = json.loads(done.stdout.splitlines()[-1])
    assert ours == again == theirs
    assert libraries == 1
