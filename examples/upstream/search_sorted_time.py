# OpenVINO's CPU plugin: SearchSorted-15, which the transformation of GroupedMatMul to GatherMatmul puts before each product, costs tokens x experts steps (its
# values are looked for one by one in a reference implementation), where a binary search or a running offset costs hardly anything.
"""usage: python search_sorted_time.py    (needs openvino). Exit code 0: the finding holds; 1: it does not any more."""
import sys
import time

import numpy as np
import openvino as ov
from openvino import opset15 as ops


def milliseconds(experts, tokens, repeats=5):
    offsets = ops.parameter([experts], np.int32, name="offsets")
    rows = ops.parameter([tokens], np.int32, name="rows")
    found = ops.search_sorted(offsets, rows, right_mode=True)
    request = ov.Core().compile_model(ov.Model([found], [offsets, rows]), "CPU", {"INFERENCE_NUM_THREADS": 1}).create_infer_request()
    inputs = [np.linspace(0, tokens, experts + 1).astype(np.int32)[1:], np.arange(tokens, dtype=np.int32)]
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        request.infer(inputs)
        best = min(best, time.perf_counter() - start)
    expected = np.searchsorted(inputs[0], inputs[1], side="right")
    assert (request.get_output_tensor().data == expected).all()
    return best * 1000


def main():
    start = time.perf_counter()
    for _ in range(5):
        np.searchsorted(np.arange(256), np.arange(24576), side="right")
    numpy_time = (time.perf_counter() - start) * 200
    found = milliseconds(256, 24576)
    print(f"24,576 rows of 256 experts: {found:.2f} ms; NumPy, one thread: {numpy_time:.2f} ms")
    holds = found > 10 * numpy_time
    print("the finding holds" if holds else "the finding does not hold any more", "with OpenVINO", ov.__version__)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
