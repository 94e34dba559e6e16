# OpenVINO's CPU plugin: TopK-11 with stable=true compares each value with each of those chosen; without it, the same values take a fraction of the time.
"""usage: python stable_topk_time.py    (needs openvino). Exit code 0: the finding holds; 1: it does not any more."""
import sys
import time

import numpy as np
import openvino as ov
from openvino import opset13 as ops


def milliseconds(count, chosen, repeats=5):
    values = ops.parameter([1, count], np.float32, name="values")
    best_ones = ops.topk(values, ops.constant(np.int32(chosen)), 1, "max", "value", "i32", stable=True)
    request = ov.Core().compile_model(ov.Model([best_ones.output(1)], [values]), "CPU", {"INFERENCE_NUM_THREADS": 1}).create_infer_request()
    data = np.random.default_rng(1).standard_normal((1, count)).astype(np.float32)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        request.infer([data])
        best = min(best, time.perf_counter() - start)
    assert (request.get_output_tensor().data[0] == np.argsort(-data[0], kind="stable")[:chosen]).all()
    return best * 1000


def main():
    few, many = milliseconds(16384, 8), milliseconds(16384, 1024)
    start = time.perf_counter()
    np.argsort(-np.random.default_rng(1).standard_normal(16384).astype(np.float32), kind="stable")
    sort = (time.perf_counter() - start) * 1000
    print(f"8 of 16,384 values: {few:.2f} ms; 1,024 of them: {many:.2f} ms; NumPy sorts all of them, stable, in {sort:.2f} ms")
    holds = many > 5 * sort
    print("the finding holds" if holds else "the finding does not hold any more", "with OpenVINO", ov.__version__)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
