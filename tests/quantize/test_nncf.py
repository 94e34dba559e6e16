# The kernels of src/quantize against NNCF 3.4.0, bit for bit: its functions on matrices, its compress_weights on models; numpy and OpenVINO path.
import json
import subprocess
from pathlib import Path

import numpy as np
import openvino as ov
import openvino.opset13 as opset
import pytest

import nncf_model
import program
from ir import Ir

MODES = ("int8_asym", "int8_sym", "int4_asym", "int4_sym")
GROUPS = (-1, 32, 64, 128)
NNCF_PATHS = pytest.mark.parametrize("optimized", [True, False], ids=["openvino-path", "numpy-path"])  # of 10,000 elements and more
SCRIPT = Path(__file__).with_name("nncf_functions.py")
MIN_OPTIMIZED = 10_000


def kernel(*arguments, weights):
    path = program.executable().parent / "tests/compress_file"
    done = subprocess.run([path, *map(str, arguments)], input=weights.tobytes(), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, f"{path} {arguments}: exit code {done.returncode} {done.stderr[:200]}"
    return done.stdout


def compress(weights, mode, group_size):
    """Our codes (uint8, low bits), scales (the bits of float16), zero points, packed codes."""
    columns = weights.shape[-1]
    rows = weights.size // columns
    groups = rows * (1 if group_size == -1 else columns // group_size)
    out = kernel(mode, group_size, rows, columns, weights=weights)
    ends = np.cumsum([weights.size, 2 * groups, groups, (weights.size + 1) // 2])
    assert len(out) == ends[-1]
    codes, scales, zero_points, packed = np.split(np.frombuffer(out, np.uint8), ends[:-1])
    return codes, scales.view(np.uint16), zero_points, packed


def matrices():
    """name -> float32 array; the columns are divisible by 128. Sizes below and above NNCF's threshold, two and three axes."""
    random = np.random.default_rng(20261124)
    shapes = {"small": (8, 128), "below": (78, 128), "above": (79, 128), "wide": (6, 2048), "stack": (3, 40, 128)}
    kinds = {
        "normal": lambda shape: random.standard_normal(shape),
        "heavy": lambda shape: random.standard_normal(shape) ** 5 * 1e-6,
        "positive": lambda shape: np.abs(random.standard_normal(shape)),
        "negative": lambda shape: -np.abs(random.standard_normal(shape)),
        "ties": lambda shape: random.integers(-12, 13, shape) / 2,
        "grid": lambda shape: random.choice([0, .5, 1, 1.5, 2, 3, 4, 6, -.5, -1, -1.5, -2, -3, -4, -6], shape) * 2.0 ** random.integers(-12, -4, (*shape[:-1], 1)),
        "zeros": np.zeros,
        "minus zeros": lambda shape: np.full(shape, -0.0),
        "constant": lambda shape: np.full(shape, 3.7),
        "negative constant": lambda shape: np.full(shape, -3.7),
        "outliers": lambda shape: np.where(random.random(shape) < 0.01, 1000 * random.standard_normal(shape), 0.01 * random.standard_normal(shape)),
        "subnormal": lambda shape: random.standard_normal(shape) * 1e-39,
        "around epsilon": lambda shape: random.standard_normal(shape) * 1e-6,
        "large": lambda shape: random.standard_normal(shape) * 1e4,
    }
    result = {f"{kind}, {name}": np.asarray(make(shape), np.float32) for name, shape in shapes.items() for kind, make in kinds.items()}
    bits = random.integers(0, 2**32, (80, 128), dtype=np.uint64).astype(np.uint32).view(np.float32)
    result["any bits"] = np.where(np.isfinite(bits), bits, np.float32(1))
    result["halves"] = random.standard_normal((80, 128)).astype(np.float16).astype(np.float32)
    for columns in (1, 3, 100):
        result[f"{columns} columns"] = random.standard_normal((7, columns)).astype(np.float32)
    return result


MATRICES = matrices()
CASES = [{"key": f"{name}|{mode}|{group}", "matrix": name, "mode": mode, "group_size": group}
         for name, weights in MATRICES.items() for mode in MODES for group in GROUPS if group == -1 or weights.shape[-1] % 128 == 0]
CASES += [{"key": f"{name}|row_errors", "matrix": name, "mode": "row_errors", "group_size": -1} for name in MATRICES if name != "any bits"]


@pytest.fixture(scope="session")
def nncf_results(tmp_path_factory):
    """optimized -> NNCF's arrays for all cases."""
    folder = tmp_path_factory.mktemp("nncf")
    np.savez(folder / "matrices.npz", **MATRICES)
    (folder / "cases.json").write_text(json.dumps(CASES))
    done = {}

    def results(optimized):
        if optimized not in done:
            file = folder / f"results-{optimized}.npz"
            nncf_model.run_nncf(SCRIPT, folder / "matrices.npz", folder / "cases.json", file, optimized=optimized)
            done[optimized] = dict(np.load(file))
        return done[optimized]

    return results


def test_the_matrices_take_both_paths_of_nncf():
    sizes = [weights.size for weights in MATRICES.values()]
    assert min(sizes) < MIN_OPTIMIZED <= max(sizes)


@NNCF_PATHS
@pytest.mark.parametrize("mode", MODES)
def test_codes_scales_and_zero_points_are_nncfs(nncf_results, mode, optimized):
    expected = nncf_results(optimized)
    compared = 0
    for case in CASES:
        if case["mode"] != mode:
            continue
        key, weights = case["key"], MATRICES[case["matrix"]]
        codes, scales, zero_points, _ = compress(weights, mode, case["group_size"])
        mask = 15 if mode.startswith("int4") else 255
        np.testing.assert_array_equal(codes, expected[f"{key}/codes"].astype(np.int32).ravel() & mask, err_msg=key)
        np.testing.assert_array_equal(scales, expected[f"{key}/scales"].view(np.uint16).ravel(), err_msg=key)
        if mode.endswith("_asym"):
            np.testing.assert_array_equal(zero_points, expected[f"{key}/zero_points"].ravel(), err_msg=key)
        else:
            assert f"{key}/zero_points" not in expected
        compared += 1
    assert compared > 250


@NNCF_PATHS
def test_row_errors_are_nncfs_sensitivity(nncf_results, optimized):
    """Not to the bit: the order in which NNCF adds float32 squares depends on the processor."""
    expected = nncf_results(optimized)
    for case in CASES:
        if case["mode"] == "row_errors":
            weights = MATRICES[case["matrix"]]
            columns = weights.shape[-1]
            errors = np.frombuffer(kernel("row_errors", -1, weights.size // columns, columns, weights=weights), np.float32)
            np.testing.assert_allclose(errors.max(), expected[case["key"]], rtol=1e-5, err_msg=case["key"])


def linear_model(folder, constants):
    """An IR whose MatMuls have these constants [N,K] and [E,N,K] as weights."""
    results, parameters = [], []
    for name, weights in constants.items():
        node = opset.constant(weights, dtype=np.float32)
        node.set_friendly_name(name)
        parameter = opset.parameter([*([weights.shape[0]] if weights.ndim == 3 else []), -1, weights.shape[-1]], np.float32)
        parameters.append(parameter)
        results.append(opset.matmul(parameter, node, False, True))
    folder.mkdir()
    ov.save_model(ov.Model(results, parameters), folder / "openvino_model.xml", compress_to_fp16=False)
    return folder


@pytest.mark.parametrize("optimized", [True, False], ids=["openvino-path", "numpy-path"])
def test_models_compressed_by_nncf_hold_our_bytes(tmp_path, optimized):
    random = np.random.default_rng(5)
    constants = {"small": random.standard_normal((24, 128)), "large": random.standard_normal((96, 256)), "stack": random.standard_normal((4, 32, 128)),
                 "halves of a step": random.integers(-12, 13, (96, 128)) / 2, "zeros": np.zeros((96, 128))}
    constants = {name: np.asarray(weights, np.float32) for name, weights in constants.items()}
    source = linear_model(tmp_path / "source", constants)
    settings = [("int8_asym", None), ("int8_sym", None), ("int4_asym", 32), ("int4_asym", 128), ("int4_sym", 64), ("int4_sym", -1)]
    jobs = [nncf_model.Job(source, tmp_path / f"{mode}{group}", mode, group_size=group, all_layers=True if "4" in mode else None, optimized=optimized)
            for mode, group in settings]  # all layers: the last MatMul stays INT8 otherwise
    assert nncf_model.compress(jobs) == [None] * len(jobs)
    for job in jobs:
        stored = nncf_model.stored(Ir(job.output))
        group = job.group_size or -1
        element = {"int8_asym": "u8", "int8_sym": "i8", "int4_asym": "u4", "int4_sym": "i4"}[job.mode]
        for name, weights in constants.items():
            codes, scales, zero_points, packed = compress(weights, job.mode, group)
            rows, columns = weights.shape[:-1], weights.shape[-1]
            shape, scale_shape = ((*rows, columns), (*rows, 1)) if group == -1 else ((*rows, columns // group, group), (*rows, columns // group, 1))
            assert stored[name] == (element, shape, (packed if "4" in job.mode else codes).tobytes()), (job.mode, group, name)
            assert stored[f"{name}/scale"] == ("f16", scale_shape, scales.tobytes())
            if job.mode.endswith("_asym"):
                zero_bytes = pack(zero_points) if "4" in job.mode else zero_points
                assert stored[f"{name}/zero_point"] == (element, scale_shape, zero_bytes.tobytes())
            else:
                assert f"{name}/zero_point" not in stored


def pack(codes):
    """Two a byte, the first in the low half."""
    even = codes[0::2].copy()
    even[:len(codes) // 2] |= codes[1::2] << 4
    return even
