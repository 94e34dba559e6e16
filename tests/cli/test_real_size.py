# The real size rehearsed: sparse checkpoints with the releases' tensors and files, and what the program makes of them. Weights are zeros that take no room.
import json
import resource
import shutil
import struct
import subprocess

import pytest

import manifest
import program

GIB = 1 << 30


def header(path):
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return 8 + length, json.loads(file.read(length))


def part(name):
    """What has a file of its own in the releases."""
    pieces = name.split(".")
    if pieces[0] in ("layers", "mtp"):
        return (pieces[0], int(pieces[1]))
    return ("embed",) if pieces[0] == "embed" else ("head",)


class Sparse:
    def __init__(self, preset, folder):
        self.preset, self.folder = preset, folder
        program.succeed("synth", preset, folder, "--sparse")
        self.config = json.loads((folder / "config.json").read_text())
        self.shards = sorted(folder.glob("model-*.safetensors"))

    def disk_bytes(self):
        return sum(path.stat().st_blocks * 512 for path in self.folder.iterdir())


@pytest.fixture(scope="module", params=["v4-flash-0731", pytest.param("v4-flash", marks=pytest.mark.full), pytest.param("v4-pro", marks=pytest.mark.full)])
def sparse(request, tmp_path_factory):
    made = Sparse(request.param, tmp_path_factory.mktemp("sparse") / request.param)
    yield made
    shutil.rmtree(made.folder)


def test_tensors_and_files_are_the_releases(sparse):
    tensors, data, files = manifest.TOTALS[sparse.preset]
    expected = manifest.Manifest(sparse.config)
    assert (len(expected.tensors), expected.bytes()) == (tensors, data)
    assert [path.name for path in sparse.shards] == [f"model-{i + 1:05}-of-{files:05}.safetensors" for i in range(files)]
    index = json.loads((sparse.folder / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == data
    found, sizes = {}, 0
    for shard in sparse.shards:
        begin, entries = header(shard)
        end = 0
        for name, entry in entries.items():  # in the order of the file
            assert entry["data_offsets"][0] == end
            end = entry["data_offsets"][1]
            found[name] = (entry["dtype"], tuple(entry["shape"]))
            assert index["weight_map"].pop(name) == shard.name
        assert len({part(name) for name in entries}) == 1
        assert begin + end == shard.stat().st_size
        sizes += shard.stat().st_size
    assert not index["weight_map"]
    assert found == expected.tensors
    if sparse.preset == "v4-flash":
        assert sizes == 159_617_149_040  # of the release
    assert sparse.disk_bytes() < 1e9


def test_inspect_says_what_it_is(sparse):
    report = json.loads(program.succeed("inspect", sparse.folder, "--json").out)
    tensors, data, files = manifest.TOTALS[sparse.preset]
    assert (report["tensors"], report["bytes"], len(report["files"])) == (tensors, data, files)
    assert report["model"] == {"v4-flash": "V4-Flash", "v4-flash-0731": "V4-Flash", "v4-pro": "V4-Pro"}[sparse.preset]
    drafts = {name: tensor for name, tensor in manifest.Manifest(sparse.config).tensors.items() if name.startswith("mtp.")}
    assert any(str(len(drafts)) in notice for notice in report["notices"])
    assert report["draft"]["tensors"] == len(drafts)
    if sparse.preset == "v4-flash-0731":
        assert report["draft"] == {"kind": "DSpark", "blocks": 3, "tensors": 4705, "bytes": 10_862_838_300}  # of the release
    else:
        assert (report["draft"]["kind"], report["draft"]["blocks"]) == ("NextN", 1)


def test_a_conversion_is_planned_without_memory_or_open_files_to_spare(sparse, tmp_path):
    def limits():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))  # fewer than many a system's 1,024

    done = program.start("convert", "-m", sparse.folder, tmp_path / "model", "--weight-format", "mxfp4", "--dry-run", preexec_fn=limits)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "model").exists()


@pytest.mark.full
@pytest.mark.parametrize("weight_format", ["mxfp4", "int4"])
def test_a_model_of_the_real_size_runs_within_24_gib(tmp_path_factory, weight_format):
    work = tmp_path_factory.mktemp("sparse-model")
    checkpoint = Sparse("v4-flash-0731", work / "checkpoint")
    subprocess.run([program.executable().parent / "tests/write_sparse_folder", checkpoint.folder, work / "model", weight_format], check=True)
    assert (work / "model/openvino_model.bin").stat().st_size > 1 << 37
    assert (work / "model/openvino_model.bin").stat().st_blocks * 512 < GIB
    answer = json.loads(program.succeed("run", work / "model", "--tokens", "1,2,3", "-n", 3, "--program", "cpu", "--json", "--ignore-eos").out)
    assert len(answer["tokens"]) == 3
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < 24 * GIB  # of the largest child, mapped pages included
    shutil.rmtree(work)
