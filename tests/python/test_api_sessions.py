# Sessions through the Python API: logits, ways back, forks and snapshots.
import numpy as np
import pytest

import dsv4
import program

TOKENS = np.arange(3, 80) * 7 % 1000


def test_logits_are_the_programs(mini, exact, tmp_path):
    expected = program.logits(mini, TOKENS, tmp_path / "logits.npy")
    logits = exact.session().feed(TOKENS)
    assert logits.dtype == np.float32 and logits.shape == expected.shape == (TOKENS.size, exact.vocab_size)
    np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize("values", [
    TOKENS.astype(np.int32), TOKENS.astype(np.uint16), TOKENS.tolist(), tuple(TOKENS.tolist()), TOKENS[::-1][::-1], np.repeat(TOKENS, 2)[::2],
    np.asfortranarray(np.stack([TOKENS, TOKENS]))[0], TOKENS.astype(">i8"),
], ids=["int32", "uint16", "list", "tuple", "view", "stride", "column", "big-endian"])
def test_ids_may_be_any_integers(engine, values):
    expected = engine.session().feed(TOKENS)
    np.testing.assert_array_equal(engine.session().feed(values), expected)


def test_only_the_last_row_without_all_logits(engine):
    assert engine.session().feed(TOKENS).shape == (1, engine.vocab_size)


def test_positions_and_ways_back(engine):
    session = engine.session()
    session.feed(TOKENS)
    assert session.position == TOKENS.size and session.room == engine.context - TOKENS.size
    expected = session.feed([5])
    session.rewind(1)
    np.testing.assert_array_equal(session.feed([5]), expected)
    session.keep()
    assert session.kept() == [TOKENS.size + 1]
    session.feed(TOKENS[:40])
    assert session.truncate(TOKENS.size + 1) == 0
    assert session.position == TOKENS.size + 1 and session.rewindable >= 0
    with pytest.raises(dsv4.Error):
        session.rewind(99)
    session.reset()
    assert session.position == 0 and session.kept() == []


def test_a_fork_goes_on_alone(engine):
    session = engine.session()
    session.feed(TOKENS)
    other = session.fork()
    session.feed([1, 2, 3])
    assert (session.position, other.position) == (TOKENS.size + 3, TOKENS.size)
    again = engine.session()
    again.feed(TOKENS)
    np.testing.assert_array_equal(other.feed([9]), again.feed([9]))


def test_snapshots_are_values_and_files(mini, engine, tmp_path):
    session = engine.session()
    session.feed(TOKENS)
    snapshot = session.save(tmp_path / "state")
    expected = session.feed([9])
    del session
    for source in (snapshot, tmp_path / "state", dsv4.Snapshot.read(tmp_path / "state")):
        other = dsv4.Engine(mini, threads=2).session()
        other.restore(source)
        assert other.position == TOKENS.size == snapshot.position
        np.testing.assert_array_equal(other.feed([9]), expected)


def test_sessions_outlive_their_engine(mini):
    with dsv4.Engine(mini, threads=1) as engine:
        session = engine.session()
    assert session.feed([1, 2]).shape[0] == 1
    with pytest.raises(dsv4.Error, match="closed"):
        engine.session()
    with session:
        pass
    with pytest.raises(dsv4.Error, match="closed"):
        session.feed([1])
    session.close()
