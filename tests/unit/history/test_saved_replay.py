"""What a replay has saved is told to each of its readers, as far as it is new for that one."""

from songline.processors.history.charts.saved_replay import CHECKPOINT, WORKER, SavedShard


def test_what_was_deleted_before_a_reader_took_it_is_not_told_to_it() -> None:
    """A rebuild of years saves minutes and drops them, of which the version's worker has to hear nothing."""
    shard = SavedShard()
    shard.add({"a": b"1", "b": b"1", "head": b"1"})
    assert shard.take_new(CHECKPOINT) == {"a": b"1", "b": b"1", "head": b"1"}
    shard.add({"a": None, "c": b"2", "head": b"2"})
    assert shard.take_new(CHECKPOINT) == {"a": None, "c": b"2", "head": b"2"}
    assert shard.take_new(WORKER) == {"b": b"1", "c": b"2", "head": b"2"}
    shard.add({"c": None, "d": None, "head": b"3"})
    assert list(shard.take_new(WORKER).items()) == [("c", None), ("head", b"3")]
    assert shard.take_new(CHECKPOINT) == {"c": None, "head": b"3"}
    restored = SavedShard()
    restored.restore(shard.all())
    restored.add({"b": None, "head": b"4"})
    assert restored.take_new(CHECKPOINT) == {"b": None, "head": b"4"}
    assert restored.take_new(WORKER) == {"head": b"4"}
