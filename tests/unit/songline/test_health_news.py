"""What `songline up` tells of a worker's health: what changes, each thing once."""

from datetime import UTC, datetime

from songline.processes.health_news import HealthNews, catching_up, gets_ready
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, PartitionProgress, ProgressReport, not_ready

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
AWAY = not_ready("library", NotReadyCause.SERVICE_AWAY, "Cosmos DB is away")
FAR = not_ready("library", NotReadyCause.FAR_BEHIND, "98,000 events behind")
STARTS = not_ready("library", NotReadyCause.STARTING, "starting")


def report(*reasons: NotReadyReason, behind: int = 0, age_s: float = 0, left_s: float | None = 0) -> ProgressReport:
    one = PartitionProgress(
        hub="music-events",
        partition="0",
        position=10,
        end=10 + behind,
        events_behind=behind,
        age_seconds=age_s,
        events_per_second=1_500,
        seconds_to_catch_up=left_s,
    )
    return ProgressReport(worker="library", as_of=NOON, partitions=(one, one), reasons=reasons)


def begun() -> HealthNews:
    news = HealthNews("library")
    news.started()
    assert news.lines(report(), 0) == []
    return news


def test_what_is_well_is_not_told() -> None:
    news = begun()
    assert [line for second in range(1, 100) for line in news.lines(report(behind=5, age_s=1), second)] == []


def test_a_cause_is_told_once_with_what_mends_it_and_its_end_once() -> None:
    news = begun()
    assert news.lines(report(AWAY), 1) == ["library is not ready: Cosmos DB is away. To mend it: songline doctor"]
    assert news.lines(report(AWAY), 2) == []
    assert news.lines(report(), 3) == ["library keeps up again"]
    assert news.lines(report(), 4) == []


def test_another_cause_is_told_and_one_cause_of_two_that_clears_is_not() -> None:
    news = begun()
    anew = not_ready("library", NotReadyCause.HUB_MADE_ANEW, "music-events was made anew")
    news.lines(report(AWAY), 1)
    (said,) = news.lines(report(AWAY, anew), 2)
    assert said.startswith("library is not ready: music-events was made anew (1 more: `songline doctor`). ")
    assert said.endswith("To mend it: songline checkpoints reset library")
    assert news.lines(report(AWAY), 3) == []
    assert news.lines(report(), 4) == ["library keeps up again"]


def test_catching_up_is_told_as_progress() -> None:
    news = begun()
    said = "library catches up: 98,000 events left, 3,000 events/s, about 33 s"
    far = report(FAR, behind=49_000, age_s=70, left_s=33)
    assert [line for second in range(1, 17) for line in news.lines(far, second)] == [said, said]
    assert news.lines(report(behind=3), 17) == ["library keeps up again"]


def test_it_is_told_before_it_is_a_reason_and_without_a_time_that_nobody_knows() -> None:
    news = begun()
    assert news.lines(report(behind=600, age_s=11, left_s=None), 1) == [
        "library catches up: 1,200 events left, 3,000 events/s"
    ]
    assert news.lines(report(behind=600, age_s=9), 2) == ["library keeps up again"]


def test_a_start_is_told_elsewhere_unless_it_takes_long() -> None:
    news = begun()
    news.lines(report(AWAY), 1)
    news.started()
    assert news.lines(report(STARTS), 2) == []
    assert news.lines(report(), 10) == ["library keeps up again"]
    news.started()
    assert news.lines(report(STARTS), 20) == []
    assert news.lines(report(STARTS), 80) == ["library is not ready: starting. To mend it: songline doctor"]


def test_what_needs_nothing_but_time() -> None:
    assert catching_up(report(FAR))
    assert not catching_up(report(FAR, AWAY))
    assert not catching_up(report())
    moving = not_ready("trending", NotReadyCause.PARTITIONS_MOVING, "state is read")
    assert not catching_up(report(moving))
    assert gets_ready(report(moving))
    assert not gets_ready(report(STARTS))
    assert not gets_ready(report())
