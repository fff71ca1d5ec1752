"""How far a worker is, and why it is not ready: by example, and by property against the whole history."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from songline.processors.runtime.progress import (
    ObservedEnd,
    ProgressBounds,
    ProgressObservation,
    ProgressTracker,
    unexplained_stall,
)
from songline.schemas.progress_report import MENDS, NotReadyCause, PartitionProgress, ProgressReport, not_ready

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
HUB = "music-events"


class Timeline:
    """A tracker whose clocks begin at 0 s and at noon."""

    def __init__(self, bounds: ProgressBounds | None = None) -> None:
        self.tracker = ProgressTracker("library", bounds or ProgressBounds())

    def see(
        self,
        at_s: float,
        position: int,
        end: int | None,
        applied_at_s: float | None = None,
        asked_at_s: float | None = None,
    ) -> None:
        applied = None if applied_at_s is None else NOON + timedelta(seconds=applied_at_s)
        asked_at = NOON + timedelta(seconds=at_s if asked_at_s is None else asked_at_s)
        told = None if end is None else ObservedEnd(end, asked_at)
        seen = ProgressObservation(hub=HUB, partition="0", position=position, end=told, applied_enqueued_at=applied)
        self.tracker.observe(seen, at_s, NOON + timedelta(seconds=at_s))

    def report(self, at_s: float) -> ProgressReport:
        return self.tracker.report(at_s, NOON + timedelta(seconds=at_s))

    def causes(self, at_s: float) -> list[NotReadyCause]:
        return [reason.cause for reason in self.report(at_s).reasons]

    def partition(self, at_s: float) -> PartitionProgress:
        (found,) = self.report(at_s).partitions
        return found


def test_what_keeps_up_is_ready() -> None:
    line = Timeline()
    for second in range(0, 100, 10):
        line.see(second, 10 * second, 10 * second, second - 1)
    assert line.report(95).ready
    found = line.partition(95)
    assert (found.position, found.end, found.events_behind, found.age_seconds) == (900, 900, 0, 0.0)
    assert found.seconds_to_catch_up == 0.0


def test_a_partition_that_stands_still_while_events_wait_is_not_ready_until_it_moves() -> None:
    line = Timeline()
    line.see(0, 7, 7, 0)
    for second in range(10, 61, 10):
        line.see(second, 7, 12)
    assert line.causes(40) == []
    (reason,) = line.report(41).reasons
    assert reason.cause is NotReadyCause.STANDS_STILL
    assert reason.sentence == "music-events/0: 5 events wait behind 7, and none was applied for 31 s"
    assert "library" in reason.mend
    line.see(61, 8, 12, 15)
    assert line.causes(61) == []


def test_what_is_on_its_way_is_no_backlog() -> None:
    line = Timeline()
    for second in range(0, 31, 5):
        line.see(second, 10 * second, 10 * second + 20, second - 2)
    assert line.partition(30).seconds_to_catch_up == 2.0
    line = Timeline()
    for second in range(0, 31, 5):
        line.see(second, 10 * second, 10 * second + 600, second - 60)
    assert line.partition(30).seconds_to_catch_up is None


def test_an_idle_partition_may_stand_still_for_ever() -> None:
    line = Timeline()
    for second in range(0, 10_000, 10):
        line.see(second, 7, 7, 0)
    assert line.causes(9_999) == []


def test_a_late_event_in_an_idle_partition_is_not_as_old_as_the_one_before_it() -> None:
    line = Timeline()
    for second in range(0, 1_000, 10):
        line.see(second, 7, 7, 0)
    line.see(1_000, 7, 8)
    assert line.partition(1_001).age_seconds == 11.0


def test_what_came_while_the_answer_was_on_its_way_is_as_old_as_the_question() -> None:
    line = Timeline()
    line.see(0, 7, 7, 0)
    line.see(14, 7, 7, asked_at_s=10)
    line.see(20, 7, 8)
    assert line.partition(20).age_seconds == 10.0


def test_further_behind_than_the_bound_is_borne_for_a_while_only() -> None:
    line = Timeline()
    for second in range(0, 31, 5):
        line.see(second, 100 * second, 1_000_000, second - 100)
    assert line.causes(30) == []
    (reason,) = line.report(31).reasons
    assert reason.cause is NotReadyCause.FAR_BEHIND
    line = Timeline()
    for second in range(0, 40, 5):
        line.see(second, 20_000 * second, 1_000_000, second - 100)
    (reason,) = line.report(40).reasons
    expected = "music-events/0: 300,000 events behind, the oldest 105 s old, at 17,143 events/s, 18 s to catch up"
    assert reason.sentence == expected
    line.see(41, 1_000_000, 1_000_000, 40)
    assert line.causes(41) == []


def test_the_bound_is_crossed_between_two_looks() -> None:
    line = Timeline(ProgressBounds(stall_s=1_000, unknown_s=1_000))
    line.see(0, 5, 5, 0)
    line.see(1, 5, 6)
    assert line.causes(89) == []
    assert line.causes(91) == [NotReadyCause.FAR_BEHIND]


def test_of_what_is_written_again_in_turns_only_a_standstill_is_told() -> None:
    """Two thousand songs change, twenty are written a second: each comes every hundred seconds."""
    tracker = ProgressTracker("trending")

    def look(at_s: int, position: int) -> ProgressReport:
        now = NOON + timedelta(seconds=at_s)
        end = ObservedEnd(position + 2_000, now)
        seen = ProgressObservation(hub="plays", partition="0", position=position, end=end, rewrites=True)
        tracker.observe(seen, at_s, now)
        return tracker.report(at_s, now)

    for at_s in range(0, 600, 5):
        report = look(at_s, 20 * at_s)
        assert report.ready
        assert report.partitions[0].age_seconds is None
    stalled = [look(at_s, 20 * 595) for at_s in range(600, 640, 5)]
    assert [one.cause for one in stalled[-1].reasons] == [NotReadyCause.STANDS_STILL]


def test_an_end_that_is_not_told_for_long_is_a_reason_and_no_figure() -> None:
    line = Timeline()
    for second in range(0, 60, 5):
        line.see(second, 3, 3 if second <= 10 else None, 0)
    assert line.causes(40) == []
    assert line.causes(41) == [NotReadyCause.END_UNKNOWN]
    found = line.partition(41)
    assert (found.events_behind, found.age_seconds, found.seconds_to_catch_up) == (None, None, None)
    line.see(60, 3, 3)
    assert line.causes(60) == []


def test_an_end_that_was_never_told_is_a_reason_after_a_while() -> None:
    line = Timeline()
    line.see(0, -1, None)
    assert line.causes(30) == []
    assert line.causes(31) == [NotReadyCause.END_UNKNOWN]


def test_a_rebuild_begins_anew_and_its_age_is_that_of_what_it_applies() -> None:
    line = Timeline()
    line.see(0, 1_000, 1_000, 0)
    line.see(10, 50, 1_000, -5_000)
    assert line.partition(10).age_seconds == 5_010.0
    assert line.partition(10).events_per_second is None


def test_what_is_in_other_hands_is_not_told() -> None:
    line = Timeline()
    line.see(0, 1, 5)
    line.tracker.forget(HUB, "0")
    assert line.report(1_000) == ProgressReport(worker="library", as_of=NOON + timedelta(seconds=1_000))


def test_the_pumps_own_reasons_come_first_and_explain_a_stall() -> None:
    line = Timeline()
    line.see(0, 1, 5)
    for second in range(10, 50, 10):
        line.see(second, 1, 5)
    alone = line.report(45)
    assert unexplained_stall(alone) == alone.reasons[0]
    away = not_ready("library", NotReadyCause.SERVICE_AWAY, "Cosmos DB is away", hub=HUB, partition="0")
    both = line.tracker.report(45, NOON, [away])
    assert [reason.cause for reason in both.reasons] == [NotReadyCause.SERVICE_AWAY, NotReadyCause.STANDS_STILL]
    assert unexplained_stall(both) is None
    assert line.report(45) == alone


def test_partitions_come_in_the_order_of_their_numbers() -> None:
    tracker = ProgressTracker("library")
    for number in (10, 9, 1):
        seen = ProgressObservation(hub=HUB, partition=str(number), position=-1, end=ObservedEnd(-1, NOON))
        tracker.observe(seen, 0, NOON)
    assert [one.partition for one in tracker.report(0, NOON).partitions] == ["1", "9", "10"]


@pytest.mark.parametrize("cause", NotReadyCause)
def test_every_cause_has_what_mends_it(cause: NotReadyCause) -> None:
    reason = not_ready("catalog", cause, "seen")
    assert reason.mend
    assert "{" not in reason.mend
    assert MENDS.keys() == set(NotReadyCause)


class Look(Struct, frozen=True):
    """A second of a partition's life: what came, what was applied, whether the end was told, whether it is seen."""

    came: int
    applied: int
    told: bool
    seen: bool


# The second kind falls behind for long enough to be not ready; histories of the first kind hardly ever do.
LOOKS = st.lists(
    st.builds(Look, st.integers(0, 3), st.integers(0, 4), st.booleans(), st.sampled_from([True, True, False])),
    min_size=1,
    max_size=60,
) | st.lists(st.builds(Look, st.just(3), st.integers(0, 2), st.just(True), st.just(True)), min_size=20, max_size=60)
BOUNDS = ProgressBounds(stall_s=4, behind_s=6, tolerated_s=3, unknown_s=5, span_s=5)


def lived(looks: Sequence[Look], asked: bool) -> list[ProgressReport]:
    """A report for each second; `asked`: each is of the one tracker, or of one that was asked nothing before."""
    found = []
    line = Timeline(BOUNDS)
    ran: list[tuple[float, int, int | None, float | None]] = []
    position, logged = -1, list[int]()
    for second, look in enumerate(looks):
        logged += [second] * look.came
        position = min(len(logged) - 1, position + look.applied)
        if look.seen:
            end = len(logged) - 1 if look.told else None
            ran.append((second, position, end, None if position < 0 else logged[position]))
            line.see(*ran[-1])
        if asked:
            found.append(line.report(second))
            continue
        fresh = Timeline(BOUNDS)
        for one in ran:
            fresh.see(*one)
        found.append(fresh.report(second))
    return found


@given(LOOKS)
def test_to_ask_changes_nothing(looks: list[Look]) -> None:
    assert lived(looks, asked=True) == lived(looks, asked=False)


@given(LOOKS)
def test_reasons_are_what_the_history_says(looks: list[Look]) -> None:
    reports = lived(looks, asked=True)
    ages = [one.partitions[0].age_seconds if one.partitions else None for one in reports]
    told = [second for second, look in enumerate(looks) if look.seen and look.told]
    begun = next((second for second, look in enumerate(looks) if look.seen), None)
    for second, report in enumerate(reports):
        causes = {reason.cause for reason in report.reasons}
        if begun is None or second < begun:
            assert not causes
            continue
        known = max((one for one in told if one <= second), default=begun)
        assert (NotReadyCause.END_UNKNOWN in causes) == (second - known > BOUNDS.unknown_s)
        # What is far now and was at each second of the time that is borne, and of one before it.
        since = range(second - int(BOUNDS.tolerated_s) - 1, second + 1)
        far = [at >= 0 and (ages[at] or 0.0) > BOUNDS.behind_s for at in since]
        if NotReadyCause.FAR_BEHIND in causes:
            assert all(far[2:])
        if all(far):
            assert causes & {NotReadyCause.FAR_BEHIND, NotReadyCause.STANDS_STILL}


def test_a_history_that_falls_behind_says_so() -> None:
    """The properties would hold trivially over histories that are never far behind."""
    causes = [
        {reason.cause for reason in report.reasons} for report in lived([Look(3, 1, True, True)] * 30, asked=True)
    ]
    assert NotReadyCause.FAR_BEHIND in causes[-1]
    assert NotReadyCause.FAR_BEHIND not in causes[6]


@given(LOOKS)
def test_a_stall_is_told_exactly_while_events_wait_and_nothing_is_applied(looks: list[Look]) -> None:
    reports = lived(looks, asked=True)
    still = 0.0
    before: tuple[int, int | None] | None = None
    for second, (look, report) in enumerate(zip(looks, reports, strict=True)):
        if not report.partitions:
            continue
        one = report.partitions[0]
        waits = one.end is not None and one.end > one.position
        moved = before is None or one.position != before[0]
        waited = before is not None and before[1] is not None and before[1] > before[0]
        if look.seen and (moved or not waits or not waited):
            still = second
        before = one.position, one.end
        told = NotReadyCause.STANDS_STILL in {reason.cause for reason in report.reasons}
        assert told == (waits and second - still > BOUNDS.stall_s)


@given(LOOKS)
def test_figures_are_within_what_is_true(looks: list[Look]) -> None:
    reports = lived(looks, asked=True)
    logged: list[int] = []
    for second, (look, report) in enumerate(zip(looks, reports, strict=True)):
        logged += [second] * look.came
        for one in report.partitions:
            if one.age_seconds is not None and look.seen and look.told and one.events_behind:
                oldest = logged[one.position + 1]
                assert one.age_seconds >= second - oldest
            if one.events_behind is not None and look.seen and look.told:
                assert one.events_behind == len(logged) - 1 - one.position
