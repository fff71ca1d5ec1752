"""What is told as live, from values."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.projections.live import snapshot as live
from songline.projections.live.snapshot import ProjectionWatermark, Sample
from songline.schemas.progress_report import NotReadyCause, PartitionProgress, ProgressReport, not_ready

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
VERBS = list(live.KIND_NAMES.values())


def sample(at: float, *ends: int, **kinds: float) -> Sample:
    return Sample(at, {"music-events": dict(enumerate(ends))}, kinds, sampled=False)


@given(
    st.integers(0, 1_000_000),
    st.dictionaries(st.sampled_from(VERBS), st.integers(1, 1_000), min_size=1),
)
def test_shares_add_up_to_the_total(total: int, counted: dict[str, int]) -> None:
    assert sum(live.apportioned(total, counted).values()) == pytest.approx(total)


@given(st.dictionaries(st.sampled_from(VERBS), st.integers(1, 1_000), min_size=1))
def test_where_all_are_counted_nothing_is_estimated(counted: dict[str, int]) -> None:
    found = live.apportioned(sum(counted.values()), counted)
    assert {kind: round(number, 6) for kind, number in found.items()} == counted


def test_rates_are_over_the_whole_span() -> None:
    samples = [sample(10, 99, 49, played=0), sample(11, 103, 49, played=3), sample(14, 109, 51, played=12)]
    (hub,) = live.hubs(samples)
    assert (hub.rate, hub.events) == (3.0, 162)
    kinds = live.kinds(samples)
    assert kinds is not None
    assert (kinds.played, kinds.liked) == (3.0, 0.0)
    # Each kind of event has its rate.
    assert set(kinds.__struct_fields__) == {*live.KIND_NAMES.values(), "sampled"}


def test_of_one_look_no_rate_follows() -> None:
    assert live.kinds([sample(10, 99)]) is None
    assert live.hubs([sample(10, 99)])[0].rate is None
    assert live.hubs([]) == ()


def test_a_partition_that_is_new_brings_no_rate_of_its_past() -> None:
    before, after = sample(0, 10), sample(1, 11, 5_000)
    assert live.arrived(before, after, "music-events") == 1


@pytest.mark.parametrize(
    ("age", "freshness"), [(0, "fresh"), (30, "fresh"), (31, "stale"), (86_400, "stale"), (None, "unknown")]
)
def test_a_projection_is_stale_when_it_says_nothing_for_long(age: float | None, freshness: str) -> None:
    through = None if age is None else NOON - timedelta(seconds=age)
    mark = ProjectionWatermark(position={"0": 7}, complete_through=through)
    assert live.projection("charts", mark, {0: 9}, None, NOON).freshness == freshness


def test_lag_is_what_the_hub_has_and_the_projection_has_not() -> None:
    assert live.lag({"0": 7, "1": 20}, {0: 9, 1: 18, 2: 3}) == 6
    unknown = live.projection("library", None, {0: 9}, None, NOON)
    assert (unknown.freshness, unknown.lag, unknown.age) == ("unknown", None, None)


def reported(*causes: NotReadyCause, behind: int = 0, age_s: float = 0.0, left_s: float | None = 0.0) -> ProgressReport:
    one = PartitionProgress(
        hub="music-events",
        partition="0",
        position=7,
        end=7 + behind,
        events_behind=behind,
        age_seconds=age_s,
        events_per_second=1.0,
        seconds_to_catch_up=left_s,
    )
    reasons = tuple(not_ready("library", cause, "seen") for cause in causes)
    return ProgressReport(worker="library", as_of=NOON, partitions=(one,), reasons=reasons)


def test_what_its_worker_says_and_what_it_has_written_are_told_by_the_worse() -> None:
    mark = ProjectionWatermark(position={"0": 7}, complete_through=NOON - timedelta(seconds=3))
    found = live.projection("library", mark, {0: 9}, None, NOON, report=reported(behind=90, age_s=20, left_s=12))
    assert (found.lag, found.age, found.freshness, found.seconds_to_catch_up) == (90, 20.0, "fresh", 12.0)
    found = live.projection("library", mark, {0: 9}, None, NOON, report=reported())
    assert (found.lag, found.age, found.freshness, found.not_ready) == (2, 3.0, "fresh", ())
    unwritten = live.projection("library", None, None, None, NOON, report=reported(behind=4, age_s=1, left_s=None))
    assert (unwritten.lag, unwritten.age, unwritten.seconds_to_catch_up) == (4, 1.0, None)


def test_a_worker_that_is_not_ready_or_does_not_answer_makes_its_projection_stale() -> None:
    mark = ProjectionWatermark(position={"0": 9}, complete_through=NOON)
    anew = live.projection("library", mark, {0: 9}, None, NOON, report=reported(NotReadyCause.HUB_MADE_ANEW))
    assert anew.freshness == "stale"
    assert anew.not_ready == ("seen. To mend it: songline checkpoints reset library.",)
    silent = not_ready("library", NotReadyCause.NOT_ANSWERING, "the library worker does not answer")
    found = live.projection("library", mark, {0: 9}, None, NOON, report=silent)
    assert found.freshness == "stale"
    assert found.not_ready[0].startswith("the library worker does not answer. To mend it: restart the library worker")
