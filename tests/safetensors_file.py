# A reader and a writer of safetensors files, straight from the format's definition: u64 header length, JSON header, data.
import json
import struct
from dataclasses import dataclass

import numpy as np

ARRAY_TYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32}
BYTES_OF = {"F32": 4, "I32": 4, "I64": 8, "BF16": 2, "F16": 2, "I8": 1, "U8": 1, "F8_E4M3": 1, "F8_E8M0": 1}


@dataclass
class Stored:
    """A tensor as it lies in the file."""

    dtype: str
    shape: tuple
    data: bytes

    def __post_init__(self):
        assert len(self.data) == BYTES_OF[self.dtype] * int(np.prod(self.shape)), (self.dtype, self.shape, len(self.data))

    def array(self):
        """For the types that numpy has."""
        return np.frombuffer(self.data, ARRAY_TYPES[self.dtype]).reshape(self.shape)


def read(path):
    """name -> Stored."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    data = content[8 + length:]
    return {name: Stored(entry["dtype"], tuple(entry["shape"]), data[slice(*entry["data_offsets"])]) for name, entry in header.items()}


def read_arrays(path):
    return {name: stored.array() for name, stored in read(path).items()}


def write(path, tensors):
    """tensors: name -> Stored. Wide elements first, so that each tensor is aligned to its element."""
    names = sorted(tensors, key=lambda name: -BYTES_OF[tensors[name].dtype])
    header, offset = {}, 0
    for name in names:
        stored = tensors[name]
        header[name] = {"dtype": stored.dtype, "shape": list(stored.shape), "data_offsets": [offset, offset + len(stored.data)]}
        offset += len(stored.data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensors[name].data for name in names))
