# Damaged checkpoints and model folders, made from a number each: whatever is wrong, every command ends with exit code 0, 1 or 2, one line that names a file, in good time and
# memory, and leaves nothing behind. A sample here; 10,000 checkpoints, 1,000 folders and 500 with damaged graph constants in test-full.
from concurrent.futures import ThreadPoolExecutor

import pytest

import goldens
import mutants

MEMORY_BYTES = 3 << 30  # several times what the undamaged ones take
CHECKPOINTS = ["toy", "hash", "mini"]
FOLDERS = [("toy",), ("hash", "--weight-format", "int8"), ("mini", "--weight-format", "int4", "--group-size", "32", "--group-size-fallback", "adjust"),
           ("mini", "--weight-format", "mxfp4", "--experts", "gather"), ("toy", "--weight-format", "int8", "--disable-stateful")]


def try_all(trial, sources, directory, numbers):
    """Two at a time; every number is a mutant of the source that its remainder says. Returns the exit codes of all."""
    def attempt(number):
        try:
            return trial(sources[number % len(sources)], directory, number), None
        except mutants.Found as found:
            return None, f"mutant {number}: {found}"

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(attempt, numbers))
    faults = [fault for _, fault in results if fault]
    assert not faults, f"{len(faults)} of {len(results)}:\n" + "\n".join(faults[:20])
    assert mutants.peak_memory() < MEMORY_BYTES
    return [codes for codes, _ in results]


def refused_share(codes):
    return sum(code != 0 for code in codes) / len(codes)


@pytest.mark.parametrize("numbers", [range(60), pytest.param(range(60, 10000), marks=pytest.mark.full)], ids=["sample", "all"])
def test_damaged_checkpoints(tmp_path, numbers):
    codes = try_all(mutants.try_checkpoint, [goldens.CHECKPOINTS[name] for name in CHECKPOINTS], tmp_path, numbers)
    assert 0.2 < refused_share([converted for _, converted in codes]) < 0.95
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("numbers", [range(15), pytest.param(range(15, 1000), marks=pytest.mark.full)], ids=["sample", "all"])
def test_damaged_folders(library, tmp_path, numbers):
    codes = try_all(mutants.try_folder, [library.folder(*key) for key in FOLDERS], tmp_path, numbers)
    assert 0.2 < refused_share(codes) < 0.95
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("numbers", [range(10), pytest.param(range(10, 500), marks=pytest.mark.full)], ids=["sample", "all"])
def test_damaged_graph_constants_of_folders_without_a_list(library, tmp_path, numbers):
    codes = try_all(mutants.try_graph_constants, [library.folder(*key) for key in (("toy",), FOLDERS[4], FOLDERS[1])], tmp_path, numbers)
    assert 0 < refused_share(codes) < 0.6  # most bytes are of numbers that a few tokens do not reach
    assert list(tmp_path.iterdir()) == []
