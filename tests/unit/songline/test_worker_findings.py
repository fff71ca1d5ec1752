"""What the doctor makes of a worker's report."""

from datetime import UTC, datetime

from songline.doctor.workers import worker_findings
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, PartitionProgress, ProgressReport, not_ready

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def report(*reasons: NotReadyReason, partitions: int = 4, behind: int = 0, worker: str = "library") -> ProgressReport:
    found = tuple(
        PartitionProgress(
            hub=MUSIC_EVENTS,
            partition=str(number),
            position=5,
            end=5 + behind,
            events_behind=behind,
            age_seconds=0.5 * behind,
            events_per_second=1,
            seconds_to_catch_up=None,
        )
        for number in range(partitions)
    )
    return ProgressReport(worker=worker, as_of=NOON, partitions=found, reasons=reasons)


def test_one_that_keeps_up_is_a_line_with_its_figures() -> None:
    (idle,) = worker_findings("library worker", report(), {MUSIC_EVENTS: 4})
    assert (idle.status, idle.seen, idle.mend) == ("ok", "ready", "")
    (busy,) = worker_findings("library worker", report(behind=3), {MUSIC_EVENTS: 4})
    assert (busy.status, busy.seen) == ("ok", "keeps up: 12 events to apply, the oldest 2 s old at most")


def test_each_reason_is_a_line_with_its_place_and_its_command() -> None:
    anew = not_ready("library", NotReadyCause.HUB_MADE_ANEW, "it was made anew", hub=MUSIC_EVENTS, partition="2")
    away = not_ready("library", NotReadyCause.SERVICE_AWAY, "Cosmos DB is away", mend="wait for it")
    found = list(worker_findings("library worker", report(anew, away, partitions=3), {MUSIC_EVENTS: 4}))
    assert [(one.check, one.status, one.seen, one.mend) for one in found] == [
        ("library worker, music-events/2", "fail", "it was made anew", "songline checkpoints reset library"),
        ("library worker", "fail", "Cosmos DB is away", "wait for it"),
    ]


def test_a_partition_that_nobody_who_answers_reads_is_a_warning() -> None:
    kept, left = worker_findings("library worker", report(partitions=2), {MUSIC_EVENTS: 4})
    assert kept.status == "ok"
    assert (left.status, left.seen) == ("warn", "does not read 2, 3 of music-events")
    assert [
        one.status for one in worker_findings("ingestion worker", report(partitions=0, worker="ingestion"), {})
    ] == ["ok"]
