# No exported form has an operation that Intel's GPU plugin does not know. The list is read from the plugin in OpenVINO's wheel; no such device is needed, and
# nothing was run on one.
import re
from pathlib import Path

import openvino
import pytest

from ir import Ir

PLUGIN = Path(openvino.__file__).parent / "libs" / "libopenvino_intel_gpu_plugin.so"
PREFILL = ("--disable-stateful",)
GATHER = ("--experts", "gather")
STATIC = (*PREFILL, "--static-shape", "1,16")
FORMS = {"stateful": (), "prefill-only": PREFILL, "static": STATIC, "gather": GATHER, "gather-prefill-only": (*GATHER, *PREFILL), "gather-static": (*GATHER, *STATIC)}
CLASS_VERSIONS = {("cumsum", "3"): "0", ("scatterndupdate", "4"): "3"}  # OpenVINO's class v3::ScatterNDUpdate calls itself opset4, and so on
FORMATS = {
    "fp32": (),
    "fp16": ("--weight-format", "fp16"),
    "int8": ("--weight-format", "int8"),
    "int4": ("--weight-format", "int4", "--group-size", "32"),
    "mxfp4": ("--weight-format", "mxfp4"),
}


@pytest.fixture(scope="module")
def registered():
    """Names as the plugin registers them, e.g. "topk_v11"; its source has a function __register_TopK_v11 for each."""
    names = {match[1].decode().lower() for match in re.finditer(rb"__register_(\w+?_v\d+)(?=\0|EvEUl)", PLUGIN.read_bytes())}
    assert len(names) > 150 and "topk_v11" in names and "matmul_v0" in names
    return names


def unknown_operations(ir, registered):
    found = []
    for kind, version in sorted(ir.all_types()):
        number = re.fullmatch(r"opset(\d+)", version)[1]
        name = {"Const": "constant"}.get(kind, kind.lower())
        versions = ("0", "1") if number == "1" else (CLASS_VERSIONS.get((name, number), number),)  # an IR calls both opset1
        if not any(f"{name}_v{possible}" in registered for possible in versions):
            found.append(f"{kind}-{number}")
    return found


@pytest.mark.parametrize("name", ["hash", "mini"])
@pytest.mark.parametrize("form", FORMS)
def test_every_operation_is_registered(library, registered, name, form):
    assert unknown_operations(Ir(library.folder(name, *FORMS[form])), registered) == []


@pytest.mark.parametrize("weights", FORMATS)
@pytest.mark.parametrize("form", ["stateful", "gather"])
def test_every_operation_of_every_format_is_registered(library, registered, form, weights):
    assert unknown_operations(Ir(library.folder("mini", *FORMS[form], *FORMATS[weights])), registered) == []


def test_an_operation_that_is_not_registered_is_found(library, registered):
    # What the experts' rows were added with before.
    assert "scatterndupdate_v15" not in registered
    assert unknown_operations(Ir(library.folder("mini")), registered - {"groupedmatmul_v17", "add_v1"}) == ["Add-1", "GroupedMatMul-17"]
