# NNCF's own low-level compression of matrices; run in NNCF's environment by test_nncf.py: nncf_functions.py CASES.npz CASES.json RESULTS.npz
import json
import sys

import numpy as np
import openvino
from nncf.openvino.graph.node_utils import create_ov_const_from_tensor
from nncf.parameters import CompressWeightsMode
from nncf.quantization.algorithms.weight_compression.config import WeightCompressionConfig
from nncf.quantization.algorithms.weight_compression.weight_lowering import do_integer_quantization, get_integer_quantization_error
from nncf.tensor import Tensor

matrices = np.load(sys.argv[1])
results = {}
with open(sys.argv[2], encoding="utf-8") as file:
    cases = json.load(file)
for case in cases:
    weight, key = matrices[case["matrix"]], case["key"]
    last_axis = weight.ndim - 1
    if case["mode"] == "row_errors":
        results[key] = np.float64(get_integer_quantization_error(Tensor(weight), (last_axis,), WeightCompressionConfig(), "max_mean"))
        continue
    config = WeightCompressionConfig(CompressWeightsMode(case["mode"]), case["group_size"])
    compressed = do_integer_quantization(Tensor(weight), config, (last_axis,))
    results[f"{key}/codes"] = np.array(compressed.tensor.data)  # a copy: NNCF's OpenVINO models use the memory again
    results[f"{key}/scales"] = create_ov_const_from_tensor(compressed.scale, openvino.Type.f16).data.copy()  # as NNCF stores them
    if compressed.zero_point is not None:
        results[f"{key}/zero_points"] = np.array(compressed.zero_point.data)
np.savez(sys.argv[3], **results)
