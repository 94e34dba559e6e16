# Model folders in the clients that people use: how the tests load them, and searches of their own to compare with.
import numpy as np

from sequence import prefill

FORMATS = {  # flags of dsv4 convert
    "fp32": (),
    "int8": ("--weight-format", "int8"),
    "int4": ("--weight-format", "int4", "--group-size", "32"),
    "mxfp4": ("--weight-format", "mxfp4"),
}
PREFILL = ("--disable-stateful",)
TEXTS = ("In the beginning God created", "And", "And the LORD spake unto Moses, saying, Speak unto the children of Israel")
# Ids are compared, so float32 also where the CPU prefers bfloat16.
PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}


def log_softmax(logits):
    logits = logits.astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))


def greedy(compiled, prompt, steps):
    """The likeliest continuation, by full recomputation in the prefill-only form; ends do not end it."""
    tokens = list(prompt)
    for _ in range(steps):
        tokens.append(int(prefill(compiled, tokens)[0, -1].argmax()))
    return tokens[len(prompt):]


def beam_search(last_logits, prompt, beams, steps, eos):
    """The best `beams` continuations with their mean log probability a token. No beam may meet an end.

    last_logits(rows, parents) -> [rows, V]: after each row, all ids of the prompt and a beam; row i goes on from row parents[i] of the call before."""
    found = [(0.0, 0, [])]
    for _ in range(steps):
        scores = log_softmax(last_logits([list(prompt) + tokens for _, _, tokens in found], [parent for _, parent, _ in found]))
        every = [(total + scores[row, token], row, tokens + [token]) for row, (total, _, tokens) in enumerate(found)
                 for token in np.argsort(-scores[row])[:2 * beams].tolist()]
        found = sorted(every, key=lambda beam: -beam[0])[:2 * beams]
        assert all(tokens[-1] != eos for _, _, tokens in found), "an end among the candidates: choose another prompt"
        found = found[:beams]
    return [(total / steps, tokens) for total, _, tokens in found]


def recomputed_beam_search(compiled, *arguments):
    """The same by full recomputation in the prefill-only form."""
    return beam_search(lambda rows, _: prefill(compiled, rows)[:, -1], *arguments)
