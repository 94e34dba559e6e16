# libdsv4_ops.so in another OpenVINO program: it reads and runs a model with our ops as the program that wrote it does, and refuses hostile attributes.
import re
import subprocess

import goldens
import numpy as np
import openvino as ov
import program
import pytest


@pytest.fixture(scope="module")
def core():
    core = ov.Core()
    core.add_extension(str(program.executable().parent / "libdsv4_ops.so"))
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return core


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("op_model")
    subprocess.run([program.executable().parent / "tests/write_op_model", folder], check=True, timeout=300)
    return folder


def test_a_model_that_was_written_runs_as_in_process(core, folder):
    model = core.read_model(folder / "model.xml")
    types = {op.get_type_name() for op in model.get_ops()}
    assert {"Embed", "HyperConnect", "HyperConnectHead", "Attention", "Experts", "Linear"} <= types
    ids = np.fromfile(folder / "ids.bin", np.int32)
    expected = np.fromfile(folder / "logits.bin", np.float32).reshape(2, -1)
    assert np.isfinite(expected).all() and np.abs(expected).max() > 0.01
    nothing = {"x": np.zeros((0, 64), np.float32), "runs": np.zeros((0, 4), np.int32)}  # caches are of the process that writes the model
    found = core.compile_model(model, "CPU")({"ids": ids, **nothing})["logits"]
    np.testing.assert_array_equal(found, expected)


def test_without_the_library_the_model_is_not_read(folder):
    with pytest.raises(RuntimeError, match="opset"):
        ov.Core().read_model(folder / "model.xml")


@pytest.mark.parametrize("release", ["2025.4", "2026.1"])
def test_another_openvino_is_named(release):
    python = goldens.REPOSITORY / f"build/venv-ov{release}/bin/python"
    assert python.exists(), f"{python} is not there: run tools/test-venv.sh ov{release}"
    library = program.executable().parent / "libdsv4_ops.so"
    command = [python, "-c", "import sys, openvino; openvino.Core().add_extension(sys.argv[1])", library]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "libdsv4_ops.so is for OpenVINO 2026.4.1, and this program uses libopenvino.so." in line]
    assert len(lines) == 1 and release.replace("20", "", 1).replace(".", "") in lines[0]


@pytest.mark.parametrize(
    ("op", "attribute", "values"),
    [
        ("Embed", "hc", ["0", "-1", "1000000000000"]),
        ("HyperConnect", "iterations", ["0", "1000000000000"]),
        ("HyperConnect", "eps", ["-1", "nan", "1e30"]),
        ("HyperConnectHead", "norm_eps", ["-1", "nan"]),
        ("Attention", "heads", ["0", "3", "-1", "1000000000000"]),
        ("Attention", "window", ["0", "-1"]),
        ("Experts", "experts_per_token", ["0", "-3", "7", "1000000000000"]),
        ("Experts", "swiglu_limit", ["-1", "nan"]),
    ],
)
def test_attributes_out_of_range_are_refused(core, folder, op, attribute, values):
    text = (folder / "model.xml").read_text()
    for value in values:
        changed, count = re.subn(rf'(type="{op}" version="dsv4">\s*<data [^>]*?\b{attribute}=")[^"]*', rf"\g<1>{value}", text)
        assert count > 0
        with pytest.raises(RuntimeError, match=f"{op}|attribute|hc is"):
            core.read_model(changed.encode(), (folder / "model.bin").read_bytes())


def test_weights_that_are_not_what_parts_says_are_refused(core, folder):
    text = (folder / "model.xml").read_text()
    fields = re.compile(r'(parts=")([^"]*)')
    kinds = 0
    for match in fields.finditer(text):
        numbers = [int(number) for number in match[2].split(",")]
        for place in range(len(numbers)):
            for value in (-1, 0, 7, numbers[place] + 1, numbers[place] * 2, 2**40, 2**62):
                if value == numbers[place]:
                    continue
                changed = [*numbers[:place], value, *numbers[place + 1 :]]
                hostile = text[: match.start(2)] + ", ".join(map(str, changed)) + text[match.end(2) :]
                try:
                    core.read_model(hostile.encode(), (folder / "model.bin").read_bytes())
                except RuntimeError:
                    kinds += 1
                else:  # what is left says the same number of bytes: another type of the same width
                    assert place % 6 in (1, 5), (match[2], place, value)
        if kinds > 400:
            break
    assert kinds > 400
