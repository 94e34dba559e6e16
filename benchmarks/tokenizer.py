#!/usr/bin/env python3
# Ids and speed of a folder's tokenizer model, and of dsv4's own encoder, against HF tokenizers, on the texts of the tests. docs/text.md has the results.
"""usage: build/venv-text/bin/python benchmarks/tokenizer.py FOLDER

FOLDER: openvino_tokenizer.xml, from whatever converter, and the tokenizer.json that it was made from. Prints the number of texts whose ids differ, by kind, and
tokens a second of all three, one text a call on one thread, the best of three rounds. The encoder is that of build/release/tests/tokenize_lines, which times it.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import openvino as ov
import openvino_tokenizers  # noqa: F401  registers its operations
import tokenizers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import tokenizer_texts as texts  # noqa: E402


def rate(encode, chosen, rounds=3):
    best = 0.0
    for _ in range(rounds):
        start = time.perf_counter()
        count = sum(len(encode(text)) for text in chosen)
        best = max(best, count / (time.perf_counter() - start))
    return best


def encoder_rate(folder, chosen, rounds=3):
    """Tokens a second of the class Tokenizer, as tokenize_lines prints it."""
    program = Path(__file__).resolve().parent.parent / "build/release/tests/tokenize_lines"
    lines = "".join(json.dumps({"text": text}) + "\n" for text in chosen)
    printed = [subprocess.run([program, folder], input=lines, capture_output=True, text=True, check=True).stderr for _ in range(rounds)]
    return max(float(re.search(r"(\d+) a second", text)[1]) for text in printed)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    core = ov.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": 1})
    compiled = core.compile_model(folder / "openvino_tokenizer.xml", "CPU")

    def hf(text):
        return reference.encode(text).ids

    def openvino(text):
        return compiled([text])["input_ids"][0].tolist()

    added = [token["content"] for token in json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]]
    kinds = {
        "documents": texts.documents(), "code": texts.code(), "mixtures": texts.mixtures(1500), "random Unicode": texts.random_unicode(500),
        "code point classes": texts.every_assigned_class(), "repeated characters": texts.runs(), "added tokens": texts.with_tokens(added),
    }
    for kind, chosen in kinds.items():
        print(f"{kind}: {sum(openvino(text) != hf(text) for text in chosen)} of {len(chosen)} differ")
    speed = kinds["documents"] + kinds["code"]
    print(f"documents and code, {sum(len(text.encode()) for text in speed)} bytes: {rate(hf, speed):.0f} tokens/s HF tokenizers, {rate(openvino, speed):.0f} tokens/s model, "
          f"{encoder_rate(folder, speed):.0f} tokens/s encoder")


if __name__ == "__main__":
    main()
