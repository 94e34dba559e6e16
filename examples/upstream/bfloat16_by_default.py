# OpenVINO's CPU plugin computes float32 models in bfloat16 where the processor can, and an IR cannot ask for float32: runtime_options in rt_info are read for
# DYNAMIC_QUANTIZATION_GROUP_SIZE, and INFERENCE_PRECISION_HINT there is ignored.
"""usage: python bfloat16_by_default.py    (needs openvino). Exit code 0: the finding holds; 1: it does not any more; 77: this processor has no bfloat16."""
import sys

import numpy as np
import openvino as ov
from openvino import opset13 as ops


def model():
    x = ops.parameter([64, 256], np.float32, name="x")
    weights = ops.constant(np.random.default_rng(1).standard_normal((256, 256)).astype(np.float32))
    made = ov.Model([ops.matmul(x, weights, False, True)], [x], "product")
    made.set_rt_info("f32", ["runtime_options", "INFERENCE_PRECISION_HINT"])
    made.set_rt_info("0", ["runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE"])
    return made


def main():
    core = ov.Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        print("this processor has no bfloat16")
        return 77
    asked = core.compile_model(model(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    by_ir = core.compile_model(model(), "CPU")
    x = np.random.default_rng(2).standard_normal((64, 256)).astype(np.float32)
    difference = np.abs(by_ir([x])[0] - asked([x])[0]).max()
    print(f"precision that the IR's hint gives: {by_ir.get_property('INFERENCE_PRECISION_HINT').to_string()}, "
          f"largest difference to float32: {difference:.3g}")
    holds = difference > 1e-3
    print("the finding holds" if holds else "the finding does not hold any more", "with OpenVINO", ov.__version__)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
