"""Weights as compressed-tensors itself packs them, beside what it makes of them again.

usage: python make.py   (compressed-tensors 0.20.0, torch, safetensors)

Writes FORM.safetensors: the tensors of one linear module of [32,64] as PackedQuantizationCompressor and NVFP4PackedCompressor give them, and `expected`,
float32 [32,64], as the library makes it of them with scales in float32 (decompress(); of NVFP4, whose decompress() rounds to bfloat16, its parts). The weights are random, the scales the library's own from each group's extremes.
"""

from pathlib import Path

import torch
from compressed_tensors.compressors import NVFP4PackedCompressor, PackedQuantizationCompressor, unpack_fp4_from_uint8
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import dequantize
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from safetensors.torch import save_file

ROWS, COLS = 32, 64


def write(form, compressor, scheme, state):
    packed = compressor.compress(state, scheme)
    scale = packed["weight_scale"].float()
    if compressor is NVFP4PackedCompressor:
        codes = unpack_fp4_from_uint8(packed["weight_packed"], ROWS, COLS, dtype=torch.float32)
        expected = dequantize(x_q=codes, scale=scale, args=scheme.weights, global_scale=packed["weight_global_scale"], dtype=torch.float32)
    else:
        expected = compressor.decompress({**packed, "weight_scale": scale}, scheme)["weight"]
    save_file({**{name: tensor.contiguous() for name, tensor in packed.items()}, "expected": expected.float().contiguous()},
              Path(__file__).parent / f"{form}.safetensors")


def main():
    torch.manual_seed(7)
    for form, group, symmetric, dtype in (("w4a16_symmetric", 32, True, torch.bfloat16), ("w4a16_asymmetric", 16, False, torch.float32),
                                          ("w4a16_channel", None, True, torch.float32)):
        weight = torch.randn(ROWS, COLS).to(dtype)
        args = QuantizationArgs(num_bits=4, type="int", symmetric=symmetric, strategy="group" if group else "channel", group_size=group)
        groups = weight.float().reshape(ROWS, -1, group or COLS)
        scale, zero_point = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
        state = {"weight": weight, "weight_scale": scale.to(dtype), "weight_zero_point": zero_point}
        write(form, PackedQuantizationCompressor, QuantizationScheme(targets=["Linear"], weights=args), state)
    weight = torch.randn(ROWS, COLS)
    args = QuantizationArgs(num_bits=4, type="float", symmetric=True, strategy="tensor_group", group_size=16, scale_dtype=torch.float8_e4m3fn)
    global_scale = generate_gparam(weight.amin().reshape(1), weight.amax().reshape(1))
    groups = weight.reshape(ROWS, -1, 16)
    scale, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), args, global_scale=global_scale)
    write("nvfp4", NVFP4PackedCompressor, QuantizationScheme(targets=["Linear"], weights=args),
          {"weight": weight, "weight_scale": scale, "weight_global_scale": global_scale})


if __name__ == "__main__":
    main()
