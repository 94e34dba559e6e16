# The weights of a checkpoint as numbers, by numpy and from the formats' definitions: what a model folder's constants are compared with.
import json

import numpy as np

import safetensors_file
from safetensors_file import Stored


def e4m3_values():
    """The 256 values of FP8 E4M3 (bias 7, no infinities): 1 sign, 4 exponent and 3 fraction bits."""
    code = np.arange(256)
    sign = np.where(code & 0x80, -1.0, 1.0)
    exponent, fraction = (code >> 3) & 15, code & 7
    magnitude = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (exponent - 7.0))
    return np.where((code & 0x7F) == 0x7F, np.nan, sign * magnitude).astype(np.float32)


E4M3 = e4m3_values()
E8M0 = np.append(2.0 ** (np.arange(255) - 127.0), np.nan).astype(np.float32)
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
FP8_BLOCK = 128
FP4_GROUP = 32


def raw(stored):
    return np.frombuffer(stored.data, np.uint8).reshape(stored.shape)


def from_bf16(stored):
    bits = np.frombuffer(stored.data, np.uint16).reshape(stored.shape).astype(np.uint32) << 16
    return bits.view(np.float32)


def to_bf16(values):
    """A Stored of values that BF16 holds exactly."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    assert not (bits & 0xFFFF).any(), "not exact in BF16"
    return Stored("BF16", values.shape, (bits >> 16).astype(np.uint16).tobytes())


def scale_values(stored):
    return E8M0[raw(stored)] if stored.dtype == "F8_E8M0" else stored.array()


def dequantise(stored, scale=None):
    """float32 values (i64 for expert ids) of a stored tensor and, for FP8 and FP4, its scales."""
    if stored.dtype == "F8_E4M3":
        blocks = scale_values(scale).repeat(FP8_BLOCK, 0).repeat(FP8_BLOCK, 1)
        return E4M3[raw(stored)] * blocks[:stored.shape[0], :stored.shape[1]]
    if stored.dtype == "I8":  # two FP4 a byte, the even input in the low nibble
        codes = raw(stored)
        values = np.stack([E2M1[codes & 15], E2M1[codes >> 4]], axis=-1).reshape(stored.shape[0], -1)
        return values * scale_values(scale).repeat(FP4_GROUP, 1)[:, :values.shape[1]]
    if stored.dtype == "BF16":
        return from_bf16(stored)
    return stored.array()


class Checkpoint:
    """All tensors of a directory, by stored name."""

    def __init__(self, directory):
        self.config = json.loads((directory / "config.json").read_text())
        self.tensors = {}
        for path in sorted(directory.glob("*.safetensors")):
            if path.name != "expected.safetensors":
                self.tensors.update(safetensors_file.read(path))

    def __contains__(self, name):
        return name in self.tensors

    def weight(self, name):
        return dequantise(self.tensors[name], self.tensors.get(name.removesuffix(".weight") + ".scale"))

    def expert_stack(self, layer, parts):
        """[E, rows, columns] of w1 over w3 (parts = ["w1", "w3"]) or of w2."""
        prefix = f"layers.{layer}.ffn.experts"
        experts = range(self.config["n_routed_experts"])
        return np.stack([np.concatenate([self.weight(f"{prefix}.{e}.{part}.weight") for part in parts]) for e in experts])
