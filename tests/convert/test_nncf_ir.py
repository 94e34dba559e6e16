# Whole models: `dsv4 convert --selection nncf` against NNCF 3.4.0 compressing the float32 conversion, constant by constant.
import re

import pytest

import goldens
import nncf_model
import program
from ir import Ir

# name -> (NNCF's mode and options); dsv4's flags follow from them.
SETTINGS = {
    "int8-asym": ("int8_asym", {}),
    "int8-sym": ("int8_sym", {}),
    "int4-asym-32": ("int4_asym", {"group_size": 32}),
    "int4-asym-64": ("int4_asym", {"group_size": 64}),
    "int4-sym-32": ("int4_sym", {"group_size": 32}),
    "int4-sym-64": ("int4_sym", {"group_size": 64}),
    "int4-asym-rows": ("int4_asym", {"group_size": -1}),
    "int4-asym-ratio": ("int4_asym", {"group_size": 32, "ratio": 0.6}),
    "int4-sym-ratio": ("int4_sym", {"group_size": 32, "ratio": 0.6}),
    "int4-low-ratio": ("int4_sym", {"group_size": 32, "ratio": 0.15}),
    "int4-all-layers": ("int4_asym", {"group_size": 32, "all_layers": True}),
    "int4-all-layers-ratio": ("int4_asym", {"group_size": 32, "all_layers": True, "ratio": 0.6}),
    "int4-128-error": ("int4_asym", {"group_size": 128, "group_size_fallback": "error"}),
    "int4-default-group": ("int4_asym", {}),
    "int4-128-ignore": ("int4_asym", {"group_size": 128, "group_size_fallback": "ignore"}),
    "int4-128-adjust": ("int4_asym", {"group_size": 128, "group_size_fallback": "adjust"}),
    "int4-256-adjust": ("int4_sym", {"group_size": 256, "group_size_fallback": "adjust"}),
    "int4-128-ignore-ratio": ("int4_asym", {"group_size": 128, "group_size_fallback": "ignore", "ratio": 0.6}),
    "int4-128-adjust-ratio": ("int4_asym", {"group_size": 128, "group_size_fallback": "adjust", "ratio": 0.6, "all_layers": True}),
    "int4-backup-none": ("int4_asym", {"group_size": 32, "ratio": 0.6, "backup_mode": "none"}),
    "int4-backup-int8-sym": ("int4_asym", {"group_size": 32, "ratio": 0.6, "backup_mode": "int8_sym"}),
    "int4-backup-int8-asym": ("int4_sym", {"group_size": 32, "backup_mode": "int8_asym"}),
}
QUICK = [("toy", name) for name in ("int8-asym", "int4-sym-64", "int4-asym-rows", "int4-128-error", "int4-backup-int8-sym")]
QUICK += [("hash", "int4-128-adjust"), ("mini", "int4-128-ignore-ratio")]
ALL = [(golden, name) for golden in goldens.NAMES for name in SETTINGS]
CASES = [pytest.param(*case, marks=[] if case in QUICK else pytest.mark.full) for case in ALL]


def flags(mode, options):
    """The same request to dsv4."""
    result = ["--weight-format", mode[:4], "--selection", "nncf"]
    result += ["--sym"] if mode.endswith("_sym") else []
    names = {"group_size": "--group-size", "ratio": "--ratio", "group_size_fallback": "--group-size-fallback", "backup_mode": "--backup-precision"}
    for option, value in options.items():
        result += ["--all-layers"] if option == "all_layers" else [names[option], value]
    return result


@pytest.fixture(scope="module")
def nncf_folders(request, library, tmp_path_factory):
    """(golden, setting) -> (error or None, folder), for all cases that this run selected."""
    selected = [item.callspec.params for item in request.session.items if getattr(item, "originalname", "") == "test_the_same_constants_as_nncf"]
    cases = [(params["golden"], params["setting"]) for params in selected]
    folder = tmp_path_factory.mktemp("nncf")
    # Every fourth takes NNCF's OpenVINO path, which is compiled anew for every weight and slow.
    jobs = [nncf_model.Job(library.folder(golden), folder / f"{golden}-{setting}", SETTINGS[setting][0], **SETTINGS[setting][1], optimized=index % 4 == 0)
            for index, (golden, setting) in enumerate(cases)]
    return {case: (error, job.output) for case, job, error in zip(cases, jobs, nncf_model.compress(jobs), strict=True)}


def named(constants):
    """Without those that only have a number for a name: shapes of Reshapes and the like, which both sides number as they please."""
    return {name: value for name, value in constants.items() if not re.fullmatch(r"Constant_\d+", name)}


@pytest.mark.parametrize("golden, setting", CASES)
def test_the_same_constants_as_nncf(golden, setting, nncf_folders, tmp_path):
    mode, options = SETTINGS[setting]
    error, folder = nncf_folders[golden, setting]
    output = tmp_path / "ours"
    arguments = ["convert", "-m", goldens.CHECKPOINTS[golden], output, *flags(mode, options)]
    if error is not None:
        assert error == "InvalidGroupSizeError"
        outcome = program.run(*arguments)  # a notice on skipped MTP tensors may come before the error
        assert outcome.code == 1 and not output.exists()
        assert outcome.err.splitlines()[-1].startswith(f"dsv4: error: --group-size {options.get('group_size', 128)} does not divide")
        return
    program.succeed(*arguments)
    ours, theirs = named(nncf_model.stored(Ir(output))), named(nncf_model.stored(Ir(folder)))
    assert sorted(ours) == sorted(theirs)
    assert {name: constant[:2] for name, constant in ours.items()} == {name: constant[:2] for name, constant in theirs.items()}
    assert [name for name in ours if ours[name] != theirs[name]] == []
    assert any(kind in ("u4", "i4", "u8", "i8") for kind, _, _ in theirs.values())
