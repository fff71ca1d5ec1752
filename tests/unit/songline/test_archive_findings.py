"""What the doctor says of the archive."""

from collections.abc import Container

import msgspec
import pytest

from songline.doctor.ages import age_text
from songline.doctor.archive import LATE_S, archive_findings
from songline.doctor.facts import ArchiveFacts, FailedQuestion
from songline.doctor.finding import Finding
from songline.doctor.known_files import LookedAtFiles
from songline.processors.history.archive.history import HubHistory
from tests.support import az_commands
from tests.support.archive_files import MemoryFiles
from tests.support.capture_files import NOON, capture_file, record

WELL = ArchiveFacts(
    "archive", True, True, files=5_760, size_bytes=1_250_000_000, day_files=96, day_bytes=24_000_000, looked_at=5_760
)


def finding(facts: ArchiveFacts | FailedQuestion, check: str = "archive of music-events") -> Finding:
    (found,) = [one for one in archive_findings(facts) if one.check == check]
    return found


@pytest.mark.parametrize(
    ("facts", "status", "seen"),
    [
        (WELL, "ok", "container archive holds every event of the hub"),
        (
            msgspec.structs.replace(WELL, holes=("a hole",)),
            "ok",
            "container archive is not behind the hub, and not whole",
        ),
        (msgspec.structs.replace(WELL, damages=("a file",)), "ok", "container archive is not behind the hub, and not"),
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
    assert az_commands.faults(finding(never).mend) == []


def test_size_and_growth_are_told() -> None:
    seen = "1.2 GB in 5,760 files, of which 24.0 MB in 96 came in the last 24 hours"
    found = finding(WELL, "size of the archive")
    assert found.seen == f"{seen}; all were looked at for holes and damage"
    assert not found.mend


def test_how_much_was_looked_at_is_told() -> None:
    some = finding(msgspec.structs.replace(WELL, looked_at=80), "size of the archive")
    assert some.seen.endswith(
        "; 80 were, the newest of each partition and those in the index, looked at for holes and damage"
    )
    assert "--every-file" in some.mend


async def test_a_hole_is_told_where_no_other_file_may_have_the_events() -> None:
    """Of 60 files, two are not there: one among the newest, one among those that only the index knows, or nothing."""
    files = MemoryFiles()
    for minute in (*range(5), *range(6, 50), *range(51, 60)):
        files.add(capture_file([record(10 * minute + at, NOON + 10 * minute + at) for at in range(10)]), minute)
    listed = await files.list()
    assert listed is not None

    async def holes(known: Container[tuple[str, str]], *, every: bool = False) -> list[int]:
        looked_at = LookedAtFiles(files, listed, known, every=every)
        extent = await HubHistory(looked_at, skip=True).extent("0")
        return [one.first for one in extent.holes if looked_at.is_sure(one)]

    assert await holes(()) == [500]
    assert await holes((), every=True) == [50, 500]
    keys = [(one.path, one.etag) for one in listed]
    assert await holes(keys[:20]) == [50, 500]
    # Another one may lie in the first hole.
    assert await holes([*keys[:5], *keys[6:20]]) == [500]
    assert await holes([*keys[1:20]]) == [50, 500]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (119, "119 s"), (1_201, "20 min"), (7_200, "2 h"), (9_000, "2.5 h"), (172_800, "2 days")],
)
def test_an_age_is_told_in_one_unit(seconds: float, text: str) -> None:
    assert age_text(seconds) == text


def test_holes_and_damaged_files_fail() -> None:
    broken = ArchiveFacts("archive", True, True, 3, 5, holes=("a", "b", "c", "d", "e"), damages=("f.avro is damaged",))
    holes = finding(broken, "holes in the archive")
    assert (holes.status, holes.seen) == ("fail", "a; b; c; and 2 more")
    assert finding(broken, "damaged files").status == "fail"
