# OpenVINO's CPU plugin: a state that grows with each call is not reset when its initial value is a sub-graph (Broadcast); with a Constant of zero rows it is.
"""usage: python growing_state_reset.py    (needs openvino). Exit code 0: the finding holds; 1: it does not any more."""
import sys

import numpy as np
import openvino as ov
from openvino import opset13 as ops


def model(initial):
    """rows [B,S,4] -> sum [B,4] over all rows since the last reset."""
    rows = ops.parameter([-1, -1, 4], np.float32, name="rows")
    if initial == "constant":
        start = ops.constant(np.zeros((1, 0, 4), np.float32))
    else:  # no rows, as many sequences as the input has: what optimum-intel's exporter writes
        batch = ops.gather(ops.shape_of(rows), ops.constant([0]), ops.constant(0))
        shape = ops.concat([batch, ops.constant([0, 4], dtype=np.int64)], 0)
        start = ops.broadcast(ops.constant(np.float32(0)), shape)
    past = ops.read_value(start, "past", ov.Type.f32, ov.PartialShape([-1, -1, 4]))
    both = ops.concat([past, rows], 1)
    keep = ops.assign(both, "past")
    total = ops.reduce_sum(both, ops.constant([1]))
    return ov.Model([ops.result(total)], [keep], [rows], "growing")


def after_reset(initial):
    request = ov.Core().compile_model(model(initial), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    rows = np.ones((1, 3, 4), np.float32)
    request.infer([rows])
    request.reset_state()
    return request.infer([rows])[0]


def main():
    found = {initial: after_reset(initial) for initial in ("constant", "broadcast")}
    for initial, total in found.items():
        print(f"{initial}: {total[0].tolist()} after a reset, expected [3.0, 3.0, 3.0, 3.0]")
    holds = (found["constant"] == 3).all() and not (found["broadcast"] == 3).all()
    print("the finding holds" if holds else "the finding does not hold any more", "with OpenVINO", ov.__version__)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
