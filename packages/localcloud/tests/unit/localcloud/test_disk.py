"""What is said about a disk that refuses writes: little, and the truth."""

import errno
import sqlite3
from pathlib import Path

import pytest

from localcloud.disk import QUIET_S, Refusals, is_full, reason

FULL = OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_from_other_faults(tmp_path: Path) -> None:
    assert reason(FULL) == reason(OSError(errno.EDQUOT, "Quota exceeded")) == "the disk is full"
    broken = OSError(errno.EIO, "Input/output error")
    assert not is_full(broken)
    assert reason(broken) == "Input/output error"
    database = sqlite3.connect(tmp_path / "small.sqlite")
    database.execute("CREATE TABLE t (v)")
    database.execute("PRAGMA max_page_count=3")
    with pytest.raises(sqlite3.OperationalError) as full:
        database.execute("INSERT INTO t VALUES (?)", (bytes(100_000),))
    assert reason(full.value) == "the disk is full"
    with pytest.raises(sqlite3.OperationalError) as other:
        database.execute("SELECT nothing")
    assert not is_full(other.value)
    database.close()


def test_one_line_when_it_begins_and_one_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    refusals = Refusals("Event Hubs", lambda: now[0])
    for outage in (1, 2):
        caplog.clear()
        for _ in range(1000):
            now[0] += 0.01
            refusals.refused(FULL, "hub/0")
            refusals.accepted()  # a nearly full disk takes what is small
        now[0] += QUIET_S
        for _ in range(3):
            refusals.accepted()
        begun, over = (record.getMessage() for record in caplog.records)
        assert begun.startswith("Event Hubs can't write hub/0: the disk is full."), outage
        assert over == "Event Hubs: the disk takes writes again, after 15 s and 1000 refusals."
