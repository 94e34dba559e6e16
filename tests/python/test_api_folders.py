# Converting, checking and measuring folders through the Python API.
import json
import re
import warnings

import pytest

import dsv4
import goldens
import program

MINI = goldens.CHECKPOINTS["mini"]


def test_the_version_is_the_programs():
    assert program.succeed("--version").out.splitlines()[0] == f"dsv4 {dsv4.__version__}"


def test_the_library_says_the_packages_version():
    from dsv4 import _library

    assert _library.library().dsv4_version().decode() == dsv4.__version__
    assert re.search(r'^set\(DSV4_OPENVINO_VERSION (.+)\)$', (goldens.REPOSITORY / "cmake/Dsv4OpenVINO.cmake").read_text(), re.M)[1] == _library.OPENVINO_VERSION


def test_a_folder_is_the_programs(tmp_path):
    told, lines = [], []
    report = dsv4.convert(MINI, tmp_path / "api", weight_format="int4", group_size=32, sym=True, progress=lambda *amounts: told.append(amounts), notice=lines.append)
    program.convert(MINI, tmp_path / "program", "--weight-format", "int4", "--group-size", "32", "--sym")
    names = sorted(file.name for file in (tmp_path / "api").iterdir())
    assert names == sorted(file.name for file in (tmp_path / "program").iterdir())
    # OpenVINO numbers nodes without a name over all models of a process: so IRs, their sizes in README.md and their hashes are those of a process that made nothing before.
    for name in sorted(set(names) - {"README.md", "dsv4_files.json"}):
        api, of_program = ((tmp_path / place / name).read_bytes() for place in ("api", "program"))
        if name.endswith(".xml"):
            api, of_program = (re.sub(rb"\b([A-Z]\w*)_\d+", rb"\1", text) for text in (api, of_program))
        assert api == of_program, name
    assert report["bin_bytes"] == (tmp_path / "api/openvino_model.bin").stat().st_size
    assert told[-1][0] == told[-1][1] and told == sorted(told)
    assert any("MTP" in line for line in lines)


def test_a_plan_writes_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan = dsv4.convert(MINI, tmp_path / "out", weight_format="int8", dry_run=True)
    assert plan["weights"] > 0 and plan["forms"] and list(tmp_path.iterdir()) == []


def test_what_progress_raises_ends_the_conversion(tmp_path):
    def stop(done, total):
        raise KeyError(total)

    with pytest.raises(KeyError):
        dsv4.convert(MINI, tmp_path / "out", weight_format="int8", progress=stop, notice=lambda line: None)
    assert not (tmp_path / "out").exists()
    dsv4.convert(MINI, tmp_path / "out", weight_format="int8", notice=lambda line: None)  # goes on


def test_perplexity_verify_and_inspect_are_the_programs(mini, tmp_path):
    ids = [0, *range(5, 20)]
    file = tmp_path / "ids"
    file.write_text(program.token_list(ids))
    expected = json.loads(program.succeed("perplexity", mini, "--tokens-file", file, "--program", "cpu", "--json").out)
    assert dsv4.perplexity(mini, tokens=ids, program="cpu")["perplexity"] == pytest.approx(expected["perplexity"], rel=1e-9)
    text = "And God said, Let there be light."
    assert dsv4.perplexity(mini, text=text, program="cpu")["tokens"] > 5
    assert dsv4.verify(MINI, mini, tokens=ids, program="cpu")["passed"] is True
    assert dsv4.inspect(MINI)["model"] == json.loads(program.succeed("inspect", MINI, "--json").out)["model"]


def test_the_ops_are_a_library_that_openvino_takes(mini):
    openvino = pytest.importorskip("openvino")
    openvino.Core().add_extension(dsv4.ops_library())


def test_the_folders_program_is_a_program():
    import subprocess

    assert subprocess.run([dsv4.program(), "--version"], capture_output=True, text=True, check=True).stdout.startswith("dsv4 ")
