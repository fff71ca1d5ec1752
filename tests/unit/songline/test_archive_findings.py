"""What the doctor says of the archive."""

import pytest

from songline.doctor.archive import LATE_S, archive_findings
from songline.doctor.facts import ArchiveFacts, FailedQuestion
from songline.doctor.finding import Finding

WELL = ArchiveFacts("archive", True, True, files=5_760, size_bytes=1_250_000_000, day_files=96, day_bytes=24_000_000)


def finding(facts: ArchiveFacts | FailedQuestion, check: str = "archive of music-events") -> Finding:
    (found,) = [one for one in archive_findings(facts) if one.check == check]
    return found


@pytest.mark.parametrize(
    ("facts", "status", "seen"),
    [
        (WELL, "ok", "container archive holds every event of the hub"),
        (ArchiveFacts("archive", True, True), "ok", "container archive is empty, as the hub is"),
        (ArchiveFacts("mine", False, True), "warn", "container mine is not there"),
        (ArchiveFacts("archive", False, False), "warn", "there is none: Microsoft's emulators have no Capture"),
        (FailedQuestion("no answer within 15 s"), "warn", "can't be read: no answer within 15 s"),
    ],
)
def test_the_archive_is_told(facts: ArchiveFacts | FailedQuestion, status: str, seen: str) -> None:
    found = finding(facts)
    assert found.status == status
    assert found.seen.startswith(seen)
    assert bool(found.mend) == (status != "ok")


def test_events_that_wait_for_their_window_are_no_fault() -> None:
    waits = ArchiveFacts("archive", True, True, files=3, waiting=4_000, oldest_s=59.4)
    assert finding(waits).status == "ok"
    assert finding(waits).seen.endswith("4,000 events of the hub wait, the oldest for 59 s")


def test_events_that_wait_for_too_long_are_told_with_what_mends_it() -> None:
    behind = ArchiveFacts("archive", True, True, files=3, waiting=2, oldest_s=LATE_S + 1)
    assert "is behind: 2 events of the hub wait, the oldest for 20 min" in finding(behind).seen
    assert "retention" in finding(behind).mend
    never = ArchiveFacts("archive", True, True, waiting=2, oldest_s=9_000.0)
    assert finding(never).seen == "container archive holds no file, and 2 events of the hub wait, the oldest for 2.5 h"
    assert "az eventhubs eventhub update" in finding(never).mend


def test_size_and_growth_are_told() -> None:
    seen = "1.2 GB in 5,760 files, of which 24.0 MB in 96 came in the last 24 hours"
    assert finding(WELL, "size of the archive").seen.startswith(seen)


def test_holes_and_damaged_files_fail() -> None:
    broken = ArchiveFacts("archive", True, True, 3, 5, holes=("a", "b", "c", "d", "e"), damages=("f.avro is damaged",))
    holes = finding(broken, "holes in the archive")
    assert (holes.status, holes.seen) == ("fail", "a; b; c; and 2 more")
    assert finding(broken, "damaged files").status == "fail"
