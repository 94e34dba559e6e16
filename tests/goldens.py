# The golden data of tests/data: tokens, reference logits and greedy continuations, and the checkpoints they belong to.
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from safetensors_file import read_arrays

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent
NAMES = ("toy", "hash", "mini")
CHECKPOINTS = {
    "toy": TESTS / "data/goldens/toy",
    "hash": TESTS / "data/goldens/hash",
    "mini": REPOSITORY / "models/mini",
}
DSPARK = TESTS / "data/goldens/dspark"  # three draft stages, the form of V4-Flash-0731


@dataclass
class Golden:
    """What two independent implementations (DeepSeek's own code and transformers) computed for a checkpoint."""

    name: str
    checkpoint: Path
    config: dict
    tokens: np.ndarray  # i64 [T]
    references: dict  # name -> f32 [rows, V]; rows may be fewer than T
    greedy: list  # (prompt, continuation), both lists of ids
    nll: dict = field(default_factory=dict)  # mini: "tokens", "single_pass", "windows"

    @property
    def vocabulary(self):
        return self.config["vocab_size"]

    @property
    def max_logit(self):
        return max(float(np.abs(logits).max()) for logits in self.references.values())


def load(name):
    folder = TESTS / "data/goldens" / name
    expected = read_arrays(folder / "expected.safetensors")
    stored = json.loads((folder / "tokens.json").read_text())
    tokens = np.array(stored["tokens"], np.int64)
    references = {key: expected[key] for key in ("logits_reference", "logits_transformers")}
    greedy = []
    for key, continuation in expected.items():
        if match := re.fullmatch(r"greedy_(p\d+)", key):
            greedy.append((expected["prompt_" + match[1]].tolist(), continuation.tolist()))
        elif match := re.fullmatch(r"greedy_after_(all|\d+)_tokens", key):
            count = len(tokens) if match[1] == "all" else int(match[1])
            greedy.append((tokens[:count].tolist(), continuation.tolist()))
    nll = {}
    if "nll_stretch" in stored:
        provenance = json.loads((folder / "provenance.json").read_text())
        nll = {"tokens": np.array(stored["nll_stretch"], np.int64), "single_pass": provenance["nll_4096_single_pass"],
               "windows": provenance["nll_4096_windows"]}
    checkpoint = CHECKPOINTS[name]
    config = json.loads((checkpoint / "config.json").read_text())
    return Golden(name, checkpoint, config, tokens, references, greedy, nll)


def load_oracle():
    """The float64 oracle's model: config in DeepSeek's own names, all weights, logits of every position."""
    return json.loads((TESTS / "data/oracle/golden_tiny.json").read_text())
