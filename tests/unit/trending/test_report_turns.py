"""When a shard reports: the global charts after each change, those of regions and genres less often."""

from songline.processors.trending.shards.report_turns import SCOPED_MS, ReportTurn, ReportTurns

NOON_MS = 1_795_348_800_000
WHOLE_MS = 30_000
WORLD, SCOPED, WHOLE = ReportTurn(False, False), ReportTurn(False, True), ReportTurn(True, True)


class Turns:
    """A shard that takes each of its turns, with so many lists."""

    def __init__(self, lists: int = 10) -> None:
        self._turns = ReportTurns(WHOLE_MS, 30)
        self._lists = lists

    def take(self, after_ms: int, applied: int) -> ReportTurn | None:
        turn = self._turns.next(0, NOON_MS + after_ms, applied)
        if turn is not None:
            self._turns.reported(0, turn, NOON_MS + after_ms, applied, self._lists)
        return turn


def test_a_shard_reports_what_it_has_applied_and_nothing_twice() -> None:
    turns = Turns()
    assert turns.take(0, 5) == WHOLE
    assert turns.take(100, 5) is None
    assert turns.take(200, 6) == WORLD
    assert turns.take(300, 6) is None


def test_regions_and_genres_come_after_a_pause_though_nothing_more_is_applied() -> None:
    turns = Turns()
    turns.take(0, 5)
    turns.take(200, 6)
    assert turns.take(1_000, 6) is None
    assert turns.take(SCOPED_MS, 6) == SCOPED
    assert turns.take(2 * SCOPED_MS, 6) is None


def test_lists_that_can_not_be_written_as_fast_come_less_often() -> None:
    turns = Turns(lists=150)
    turns.take(0, 5)
    assert turns.take(SCOPED_MS, 6) == SCOPED
    # 150 charts are written in five seconds at the soonest.
    assert turns.take(SCOPED_MS + 4_900, 7) == WORLD
    assert turns.take(SCOPED_MS + 5_000, 7) == SCOPED


def test_the_first_report_of_a_minute_has_all_scopes() -> None:
    turns = Turns()
    turns.take(0, 5)
    turns.take(29_000, 6)
    assert turns.take(30_000, 6) == WHOLE
    turns.take(59_000, 7)
    assert turns.take(59_999, 8) == WORLD
    assert turns.take(60_000, 8) == WHOLE
    late = Turns()
    late.take(40_000, 5)
    assert late.take(60_000, 5) == SCOPED


def test_a_clock_that_is_set_back_lets_no_report_wait() -> None:
    turns = Turns()
    turns.take(3_600_000, 5)
    assert turns.take(0, 5) == WHOLE
    assert turns.take(100, 5) is None
    turns.take(SCOPED_MS, 6)
    assert turns.take(SCOPED_MS - 1, 7) == SCOPED
