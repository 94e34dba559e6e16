# Our products with packed weights beside OpenVINO's own node (FullyConnected): which of the two the CPU program should use.
"""usage: products.py [--program PROGRAM] [--threads N] [--repeats N]

Prints Markdown. PROGRAM is bench_matrix (make bench builds it). A matrix [4096,4096] with random values in a model of nothing else; OpenVINO in float32 (inputs
rounded to 8 bits in groups of 32, or not) and in bfloat16, which uses AMX where the processor has it.
"""

import argparse
import json
import os
import statistics
import time

import bench

ROWS = COLUMNS = 4096
TOKENS = (1, 16, 64, 512)
GROUP = 128
COPIES = 24  # matrices that take turns at one token: together far beyond the caches of a core


def u4_product(weights, zero_points, x):
    """x W^T as the converter's IR has it: u4 codes and zero points, float16 scales, groups of 128. The constants share the arrays' memory."""
    import numpy as np
    import openvino as ov
    from openvino import opset15 as op

    groups = COLUMNS // GROUP
    codes = op.constant(ov.Tensor(weights, ov.Shape([ROWS, groups, GROUP]), ov.Type.u4))
    zeros = op.constant(ov.Tensor(zero_points, ov.Shape([ROWS, groups, 1]), ov.Type.u4))
    scales = op.constant(np.full((ROWS, groups, 1), 0.01, np.float16))
    values = op.multiply(op.subtract(op.convert(codes, "f16"), op.convert(zeros, "f16")), scales)
    values = op.convert(op.reshape(values, np.array([ROWS, COLUMNS]), False), "f32")
    return op.matmul(x, values, False, True)


def openvino_seconds(tokens, threads, repeats, **properties):
    """Median seconds of a product, a matrix after the other."""
    import numpy as np
    import openvino as ov
    from openvino import opset15 as op

    random = np.random.default_rng(1)
    copies = COPIES if tokens == 1 else 1
    x = op.parameter([tokens, COLUMNS], np.float32)
    weights = [random.integers(0, 256, ROWS * COLUMNS // 2, np.uint8) for _ in range(copies)]
    zero_points = np.full(ROWS * COLUMNS // GROUP // 2, 0x88, np.uint8)
    outputs = [u4_product(codes, zero_points, x) for codes in weights]
    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", **properties}
    request = ov.Core().compile_model(ov.Model(outputs, [x]), "CPU", options).create_infer_request()
    values = ov.Tensor(random.standard_normal((tokens, COLUMNS)).astype(np.float32))
    request.set_input_tensor(values)
    seconds = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        request.infer()
        seconds.append((time.perf_counter() - start) / copies)
    return statistics.median(seconds[2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=bench.REPOSITORY / "build/release/bench_matrix")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    ours = json.loads(bench.run_measured(arguments.program, arguments.threads, arguments.repeats).out)
    kinds = {"OpenVINO, float32": {"DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}, "OpenVINO, inputs int8": {"DYNAMIC_QUANTIZATION_GROUP_SIZE": 32},
             "OpenVINO, bfloat16": {"INFERENCE_PRECISION_HINT": "bf16", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}}
    own = {"dsv4, float32": "f32", "dsv4, inputs int8": "int8"}
    matrix_bytes = ROWS * COLUMNS // 2 + ROWS * (COLUMNS // GROUP) * 2.5
    table = []
    for name, mode in own.items():
        found = {row["tokens"]: row for row in ours if (row["type"], row["mode"], row["rows"], row["cols"]) == ("u4 g128", mode, ROWS, COLUMNS)}
        table.append([name, f"{found[1]['gb_s']:.1f}", *(f"{found[tokens]['gflops']:.0f}" for tokens in TOKENS[1:])])
    for name, properties in kinds.items():
        seconds = {tokens: openvino_seconds(tokens, arguments.threads, arguments.repeats, **properties) for tokens in TOKENS}
        table.append([name, f"{matrix_bytes / 1e9 / seconds[1]:.1f}", *(f"{2e-9 * ROWS * COLUMNS * tokens / seconds[tokens]:.0f}" for tokens in TOKENS[1:])])
    reads = [row["read_gb_s"] for row in ours if row["read_gb_s"]]
    title = (f"u4 weights [{ROWS},{COLUMNS}] in groups of {GROUP}, {arguments.threads} threads; memory is read at {statistics.median(reads):.1f} GB/s. "
             f"{bench.machine()}. Medians of {arguments.repeats}.")
    print(bench.table(title, ["", "1 token, GB/s", *(f"{tokens} tokens, GFLOPS" for tokens in TOKENS[1:])], table))


if __name__ == "__main__":
    main()
