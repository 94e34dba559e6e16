# The CPU program as an IR in OpenVINO's own API: the portable folder's logits for everything that clients ask of it, and one line for what it cannot do.
import re
from concurrent.futures import ThreadPoolExecutor

import cpu_folders
import numpy as np
import openvino
import program
import pytest
from client_models import FORMATS
from sequence import Sequence

ALL = [("toy", weight_format) for weight_format in ("fp32", "int8", "mxfp4")] + [(name, weight_format) for name in ("mini", "hash") for weight_format in FORMATS]
QUICK = {("toy", "int8"), ("mini", "int4")}
every_model = pytest.mark.parametrize(("name", "weight_format"),
                                      [pytest.param(*case, marks=[] if case in QUICK else pytest.mark.full) for case in ALL])


def ids_of(count, seed, vocabulary=256):
    return np.random.default_rng(seed).integers(1, vocabulary, count)


def assert_same(portable, fast):
    assert fast.shape == portable.shape and np.isfinite(fast).all()
    assert np.abs(fast - portable).max() <= 1e-4 * np.abs(portable).max()
    np.testing.assert_array_equal(fast[:, -1].argmax(axis=-1), portable[:, -1].argmax(axis=-1))


def both(requests, tokens, **options):
    portable, fast = (request.feed(tokens, **options) for request in requests)
    return portable, fast


@every_model
def test_a_long_prompt_and_single_tokens_give_the_portable_logits(library, name, weight_format):
    requests = cpu_folders.requests_of(library, name, weight_format)
    assert_same(*both(requests, ids_of(150, 1)))
    for token in ids_of(8, 2):
        assert_same(*both(requests, [token]))
    assert_same(*both(requests, ids_of(9, 3)))


@every_model
def test_a_batch_with_left_padding_gives_what_each_row_gives_alone(library, name, weight_format):
    lengths = (23, 5, 1)
    rows = [ids_of(length, 10 + length) for length in lengths]
    ids, mask = np.zeros((3, 23), np.int64), np.zeros((3, 23), np.int64)
    for row, tokens in enumerate(rows):
        ids[row, 23 - len(tokens):], mask[row, 23 - len(tokens):] = tokens, 1
    requests = cpu_folders.requests_of(library, name, weight_format)
    portable, fast = both(requests, ids, mask=mask)
    assert_same(portable[:, -1:], fast[:, -1:])
    for row, tokens in enumerate(rows):
        np.testing.assert_array_equal(fast[row, :23 - len(tokens)], 0)  # of padding
        alone = Sequence(requests[1].request.get_compiled_model())
        np.testing.assert_array_equal(alone.feed(tokens)[0], fast[row, 23 - len(tokens):])
    for step in range(6):
        assert_same(*both(requests, ids_of(3, 30 + step)[:, None]))


@every_model
def test_beams_are_multiplied_reordered_and_dropped(library, name, weight_format):
    requests = cpu_folders.requests_of(library, name, weight_format)
    assert_same(*both(requests, ids_of(37, 4)))
    for step, beams in enumerate([[0, 0, 0, 0], [1, 1, 0, 3], [3, 2, 1, 0], [2, 2, 2, 2], [0, 3], [1, 1, 0], [0, 1, 2]]):
        assert_same(*both(requests, ids_of(len(beams), 50 + step)[:, None], beams=beams))
    assert_same(*both(requests, ids_of(3 * 7, 60).reshape(3, 7)))


def test_a_reset_leaves_nothing_behind_and_requests_take_turns(library):
    compiled = cpu_folders.compile_folder(cpu_folders.folder_of(library, "mini", "int8"))
    first, second = Sequence(compiled), Sequence(compiled)
    texts = [ids_of(20, 5), ids_of(30, 6)]
    alone = []
    for text in texts:
        alone.append(first.feed_parts(text, [len(text) - 4, 1, 1, 1, 1]))
        first.reset()
    parts = [[], []]
    for begin in range(0, 20, 5):
        for request, text, found in zip((first, second), texts, parts):
            found.append(request.feed(text[begin:begin + 5])[0])
    for found, expected in zip(parts, alone):
        np.testing.assert_array_equal(np.concatenate(found), expected[:20])


def test_a_text_has_the_same_bits_in_any_split(library):
    compiled = cpu_folders.compile_folder(cpu_folders.folder_of(library, "mini", "int4", ()))
    request, text = Sequence(compiled), ids_of(600, 7)
    whole = request.feed(text)[0]
    request.reset()
    np.testing.assert_array_equal(request.feed_parts(text, [1, 99, 450, 50]), whole)


def test_requests_of_several_threads_do_not_meet(library):
    compiled = cpu_folders.compile_folder(cpu_folders.folder_of(library, "mini", "int8"), NUM_STREAMS=2)
    texts = [ids_of(40, 20 + text) for text in range(4)]

    def logits(text):
        return Sequence(compiled).feed_parts(text, [25] + 15 * [1])

    expected = [logits(text) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        for found, alone in zip(threads.map(logits, texts), expected):
            np.testing.assert_array_equal(found, alone)


def test_on_one_thread_where_openvino_loses_exceptions_nothing_stale_is_left(library, capfd):
    """Nor in the next call of the thread, which would begin by running the one again that threw."""
    compiled = cpu_folders.compile_folder(cpu_folders.folder_of(library, "mini", "int8"), INFERENCE_NUM_THREADS=1)
    call = Call(compiled.create_infer_request())
    expected = call.infer()
    assert np.isnan(Call(call.request, length=1, before=7).infer()).all()
    assert "dsv4: error: Sequences: the positions of row 0 begin at 7" in capfd.readouterr().err
    assert np.isnan(Call(call.request, length=1, before=5).infer()).all()
    assert "not kept" in capfd.readouterr().err
    np.testing.assert_array_equal(Call(compiled.create_infer_request()).infer(), expected)
    call.request.reset_state()
    np.testing.assert_array_equal(call.infer(), expected)


class Call:
    """Inputs of one call, by default of a new sequence of five tokens."""

    def __init__(self, request, batch=1, length=5, before=0):
        self.request = request
        self.inputs = {
            "input_ids": np.ones((batch, length), np.int64),
            "attention_mask": np.ones((batch, before + length), np.int64),
            "position_ids": np.tile(np.arange(before, before + length), (batch, 1)),
            "beam_idx": np.arange(batch, dtype=np.int32),
        }

    def infer(self, **changed):
        return self.request.infer({**self.inputs, **changed})["logits"].copy()

    def refuse(self, naming, **changed):
        with pytest.raises(RuntimeError, match=naming) as caught:
            self.infer(**changed)
        line = [line for line in str(caught.value).splitlines() if "Sequences" in line]
        assert len(line) == 1 and len(line[0]) < 2000


@pytest.fixture(scope="module")
def toy(library):
    return cpu_folders.compile_folder(cpu_folders.folder_of(library, "toy", "int8"))


@pytest.mark.parametrize(("changed", "naming"), [
    ({"attention_mask": [[1, 1, 0, 1, 1]]}, "holes"),
    ({"attention_mask": [[1, 1, 1, 1, 0]]}, "pad on the left"),
    ({"attention_mask": [[0, 1, 1, 1, 1]]}, "4 ones"),
    ({"attention_mask": [[0, 0, 0, 0, 0]]}, "0 ones"),
    ({"attention_mask": [[1] * 7]}, "7 ones"),
    ({"attention_mask": [[1] * 5, [1] * 5]}, "attention_mask"),
    ({"position_ids": [[0, 1, 2, 3, -1]]}, "position -1"),
    ({"position_ids": [[0, 1, 2, 3, 2**31 - 1]]}, "position 2147483647"),
    ({"position_ids": [[7, 8, 9, 10, 11]], "attention_mask": [[1] * 12]}, "state holds none"),
    ({"position_ids": [[0, 1, 2, 3]]}, "position_ids"),
    ({"input_ids": [[1, 2, -1, 3, 4]]}, "token id -1"),
    ({"input_ids": [[1, 2, 3, 4, 2**31 - 1]]}, "token id 2147483647"),
    ({"beam_idx": [1]}, "beam_idx of row 0 is 1"),
    ({"beam_idx": [-1]}, "beam_idx of row 0 is -1"),
    ({"beam_idx": [0, 0]}, "beam_idx"),
])
def test_what_cannot_be_computed_is_refused_and_changes_nothing(toy, changed, naming):
    call = Call(toy.create_infer_request())
    expected = call.infer()
    call.request.reset_state()
    call.refuse(naming, **{name: np.array(value, np.int32 if name == "beam_idx" else np.int64) for name, value in changed.items()})
    np.testing.assert_array_equal(call.infer(), expected)
    Call(call.request, length=1, before=5).infer()  # the state goes on after a call that succeeded
    Call(call.request, length=1, before=5).refuse("begin at 5, and its sequence has 6")
    Call(call.request, length=1, before=6).infer()


def state_of(request):
    return request.query_state()[0]


def test_a_state_that_the_sequence_has_left_is_refused(toy):
    request = toy.create_infer_request()
    Call(request).infer()
    old = state_of(request).state.data.copy()
    assert old.shape == (1, 1, 2) and old.dtype == np.int32
    Call(request, length=1, before=5).infer()
    state_of(request).state = openvino.Tensor(old)
    Call(request, length=1, before=5).refuse("not kept")
    request.reset_state()
    Call(request).infer()


@pytest.mark.parametrize("state", [[[[7, 7]]], [[[-1, -1]]], [[[2**31 - 1, 0]]], [[[0, 5]]]])
def test_an_invented_state_is_refused(toy, state):
    request = toy.create_infer_request()
    state_of(request).state = openvino.Tensor(np.array(state, np.int32))
    Call(request).refuse("not kept")


def test_a_state_moves_to_another_request_once(toy):
    first, second, third = (toy.create_infer_request() for _ in range(3))
    Call(first).infer()
    for request in (second, third):
        state_of(request).state = openvino.Tensor(state_of(first).state.data.copy())
    expected = toy.create_infer_request()
    Call(expected).infer()
    np.testing.assert_array_equal(Call(second, length=1, before=5).infer(), Call(expected, length=1, before=5).infer())
    for request in (first, third):
        Call(request, length=1, before=5).refuse("not kept")


def test_a_state_of_another_model_is_refused(library, toy):
    other = cpu_folders.compile_folder(cpu_folders.folder_of(library, "toy", "int8", ()))
    first, second = toy.create_infer_request(), other.create_infer_request()
    Call(first).infer()
    state_of(second).state = openvino.Tensor(state_of(first).state.data.copy())
    Call(second, length=1, before=5).refuse("not kept")


def test_no_rows_and_no_columns(toy):
    for batch, length in ((0, 5), (1, 0), (0, 0)):
        try:
            logits = Call(toy.create_infer_request(), batch, length).infer()
        except RuntimeError:
            continue
        assert logits.size == 0


def test_without_the_library_the_model_is_not_read(library):
    with pytest.raises(RuntimeError, match="Cannot create .* from unsupported opset: dsv4"):
        openvino.Core().read_model(cpu_folders.folder_of(library, "toy", "int8") / "openvino_model.xml")


@pytest.mark.parametrize(("attribute", "values"), [
    ("window", ["0", "-1", "99999999999999"]), ("head_dim", ["0", "-4"]), ("capacity", ["0", "-1", "999999999999999999"]),
    ("ratios", ["", "4", "-1, 4, 4"]), ("overlaps", ["", "0"]), ("parts", ["", "1", "1, 0, 1, 1, 1, 0, 1, 0"]), ("bits", ["-1", "9999999999"]),
])
def test_broken_attributes_are_refused(library, attribute, values):
    folder = cpu_folders.folder_of(library, "toy", "int8")
    text = (folder / "openvino_model.xml").read_text()
    core, weights = cpu_folders.core(), (folder / "openvino_model.bin").read_bytes()
    for value in values:
        changed, count = re.subn(rf'(<data [^>]*?\b{attribute}=")[^"]*', rf"\g<1>{value}", text)
        assert count > 0
        with pytest.raises(RuntimeError):
            core.read_model(changed.encode(), weights)


def test_a_body_that_is_not_the_program_is_refused(library):
    folder = cpu_folders.folder_of(library, "toy", "int8")
    text, weights = (folder / "openvino_model.xml").read_text(), (folder / "openvino_model.bin").read_bytes()
    core = cpu_folders.core()
    inner = text.index("<body")
    for old, new in (('name="logit_rows"', 'name="rows"'), ('name="input_ids"', 'name="ids"')):
        changed = text[:inner] + text[inner:].replace(old, new, 1)
        assert changed != text
        with pytest.raises(RuntimeError, match="body has no input"):
            core.read_model(changed.encode(), weights)


def test_bfloat16_where_the_processor_has_it_touches_no_state(library):
    """The clients' default: the plugin may compute in bfloat16 whatever is not the op's."""
    folder = cpu_folders.folder_of(library, "mini", "int4")
    exact, default = Sequence(cpu_folders.compile_folder(folder)), Sequence(cpu_folders.core().compile_model(folder / "openvino_model.xml", "CPU"))
    text = ids_of(40, 8)
    np.testing.assert_array_equal(default.feed_parts(text, [30, 1, 9]), exact.feed_parts(text, [30, 1, 9]))


def test_many_texts_of_one_request_take_no_more_memory_than_the_limit(toy):
    request = toy.create_infer_request()
    Call(request).infer()
    for _ in range(1100):  # more than are kept
        request.reset_state()
        Call(request).infer()
