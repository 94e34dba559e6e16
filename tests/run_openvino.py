# A model folder in the OpenVINO of the interpreter that runs this: logits of token rows fed in parts. For environments with openvino and numpy alone.
"""usage: run_openvino.py FOLDER INPUT.npz OUTPUT.npz     INPUT: "tokens" i64 [B,S], "parts" i64: lengths of the calls. OUTPUT: "logits", "version"."""

import sys
from pathlib import Path

import numpy as np
import openvino

import sequence


def main(folder, inputs, output):
    given = np.load(inputs)
    tokens, parts = given["tokens"], given["parts"]
    compiled = sequence.compile_model(Path(folder))
    if len(compiled.inputs) == 1:  # the prefill-only form
        logits = sequence.prefill(compiled, tokens)
    else:
        one = sequence.Sequence(compiled)
        ends = np.cumsum(parts)
        logits = np.concatenate([one.feed(tokens[:, end - length:end]) for length, end in zip(parts, ends)], axis=1)
    np.savez(output, logits=logits, version=openvino.__version__)


if __name__ == "__main__":
    main(*sys.argv[1:])
