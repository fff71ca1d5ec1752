"""What partitions have to read until they are at their ends for the first time: whether it is little, and is done."""

from songline.processors.trending.first_backlog import SHORT_BACKLOG, BacklogFlush, FirstBacklog, UnreadRange


def test_a_backlog_is_short_until_each_partition_was_at_its_end() -> None:
    backlog = FirstBacklog()
    assert backlog.is_short([UnreadRange(0, 5, 9), UnreadRange(1, 3, 7)])
    assert backlog.is_short([UnreadRange(0, 9, 9), UnreadRange(1, 6, 7)])
    assert backlog.is_short([UnreadRange(0, 9, 50), UnreadRange(1, 7, 8)]), "more has come meanwhile"
    assert not backlog.is_short([UnreadRange(0, 9, 50), UnreadRange(1, 8, 8)])
    assert not backlog.is_short([UnreadRange(0, 9, 60), UnreadRange(1, 8, 70)])


def test_a_partition_that_is_seen_later_belongs_to_it() -> None:
    backlog = FirstBacklog()
    assert not backlog.is_short([])
    assert not backlog.is_short([UnreadRange(0, 9, 9)])
    assert backlog.is_short([UnreadRange(0, 9, 9), UnreadRange(1, 0, 1)])


def test_a_backlog_that_was_long_is_never_short() -> None:
    backlog = FirstBacklog()
    ends = [UnreadRange(0, 0, SHORT_BACKLOG), UnreadRange(1, 0, 1)]
    assert FirstBacklog().is_short(ends[:1])
    assert not backlog.is_short(ends)
    assert not backlog.is_short([one._replace(next=one.end - 1) for one in ends])


def test_what_comes_as_fast_as_it_is_read_makes_a_backlog_long() -> None:
    backlog = FirstBacklog()
    for read in range(0, SHORT_BACKLOG, 1_000):
        assert backlog.is_short([UnreadRange(0, read, read + 1_000)])
    assert not backlog.is_short([UnreadRange(0, SHORT_BACKLOG, SHORT_BACKLOG + 1)])


def test_a_backlog_is_flushed_once_each_partition_is_up_to_where_it_was_folded() -> None:
    backlog, flushed = BacklogFlush(), {0: -1, 1: -1}
    folded = [UnreadRange(0, 2, 4), UnreadRange(1, 5, 5)]
    assert not backlog.advance(folded)
    assert backlog.is_left(folded)
    folded = [UnreadRange(0, 4, 4), UnreadRange(1, 5, 9)]
    assert backlog.advance(folded)
    assert not backlog.advance(folded), "it is told once"
    assert not backlog.is_left(folded)
    for position, is_unflushed in ((2, True), (3, True), (4, False)):
        flushed |= {0: 3, 1: position}
        assert backlog.is_unflushed(folded, flushed.__getitem__) == is_unflushed
    assert not BacklogFlush().is_unflushed([UnreadRange(0, 4, 4)], flushed.__getitem__), "there was none"


def test_a_position_that_is_set_back_makes_a_backlog_longer() -> None:
    backlog = FirstBacklog()
    end = SHORT_BACKLOG + 10
    assert backlog.is_short([UnreadRange(0, 20, end)])
    assert not backlog.is_short([UnreadRange(0, 0, end)])


def test_a_hub_that_was_made_anew_has_nothing_to_flush_of_the_one_before() -> None:
    backlog = BacklogFlush()
    backlog.advance([UnreadRange(0, 2, 900)])
    assert backlog.advance([UnreadRange(0, 900, 900)])
    assert backlog.is_unflushed([UnreadRange(0, 901, 901)], {0: 5}.__getitem__)
    assert not backlog.is_unflushed([UnreadRange(0, 7, 7)], {0: 5}.__getitem__)
