# Makes dequantised.safetensors of this folder with NNCF 3.4.0 and OpenVINO 2026.4.1 (pip install nncf==3.4.0 openvino==2026.4.1 safetensors).
import nncf
import numpy as np
import openvino as ov
from openvino import opset13 as op
from safetensors.numpy import save_file

ROWS, COLUMNS = 24, 128
MODES = {"u8": ("INT8_ASYM", [-1]), "i8": ("INT8_SYM", [-1]), "u4": ("INT4_ASYM", [-1, 32, 64]), "i4": ("INT4_SYM", [-1, 32, 64])}


def weights(rng):
    """Random rows of very different sizes, and rows in which a careless formula fails."""
    w = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32) * np.exp2(rng.integers(-12, 6, (ROWS, 1))).astype(np.float32)
    w[0] = 0
    w[1] = 0.37  # constant
    w[2] = -2.5
    w[3] = np.abs(w[3])  # one-sided
    w[4] = -np.abs(w[4])
    w[5] *= np.float32(1e-9)  # below the least scale
    w[6] = 0
    w[6, 77] = 3  # one value in a group
    w[7] = 0
    w[7, 5] = -3
    w[8] = np.tile(np.array([-1, 1], np.float32), COLUMNS // 2)  # both sides reach as far
    w[9] = np.linspace(-8, 7, COLUMNS)
    w[10] = np.round(w[10] * 2) / 2  # ties
    w[11] = np.tile(np.arange(-7.5, 8.5, 1, dtype=np.float32), COLUMNS // 16)  # half-way between levels
    return w


def compressed(w, mode, group_size):
    """What NNCF stores: codes, zero points (or None) and f16 scales."""
    x = op.parameter([-1, COLUMNS], np.float32, name="x")
    weight = op.constant(w, name="w")
    model = ov.Model([op.matmul(x, weight, False, True)], [x])
    options = {} if mode.startswith("INT8") else {"group_size": group_size, "ratio": 1.0, "all_layers": True}
    model = nncf.compress_weights(model, mode=getattr(nncf.CompressWeightsMode, mode), **options)
    constants = {node.get_friendly_name(): node for node in model.get_ops() if node.get_type_name() == "Constant"}
    names = {"codes": "w", "zero_point": "w/zero_point", "scale": "w/scale"}
    values = {}
    for key, name in names.items():
        if name in constants:
            element = constants[name].get_element_type().get_type_name()
            values[key] = unpacked(constants[name].data, element, constants[name].shape)
            if key == "codes":
                values["type"] = element
    return values


def unpacked(data, element, shape):
    if element not in ("u4", "i4"):
        return np.array(data).reshape(list(shape))
    data = np.array(data)
    if data.size == int(np.prod(shape)):  # OpenVINO's binding unpacks by itself
        return data.reshape(list(shape)).astype(np.int32)
    codes = np.stack([data.reshape(-1).view(np.uint8) & 15, data.reshape(-1).view(np.uint8) >> 4], -1).reshape(list(shape)).astype(np.int32)
    return np.where(codes > 7, codes - 16, codes) if element == "i4" else codes


def main():
    w = weights(np.random.default_rng(20260))
    out = {"weights": w}
    for name, (mode, groups) in MODES.items():
        for group_size in groups:
            c = compressed(w, mode, group_size)
            assert c["type"] == name, (c["type"], name)
            difference = c["codes"].astype(np.float32) - (c["zero_point"].astype(np.float32) if "zero_point" in c else np.float32(0))
            out[f"{name}_{'row' if group_size < 0 else group_size}"] = (difference * c["scale"].astype(np.float32)).reshape(ROWS, COLUMNS)
    save_file(out, "dequantised.safetensors")


if __name__ == "__main__":
    main()
