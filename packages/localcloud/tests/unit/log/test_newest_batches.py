"""What was written last to a partition is read from memory, and as it stands in the file."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from localcloud.log.batch import build
from localcloud.log.commits import Commits
from localcloud.log.errors import DamagedLogError
from localcloud.log.partition import LogSettings, PartitionLog
from localcloud.log.segment import NEWEST_BYTES
from localcloud_tests.unit.log.machine import Inline


def opened(folder: Path) -> PartitionLog:
    return PartitionLog.open(folder / "0", LogSettings(), Commits(Inline()), lambda: 1_000)


async def append(log: PartitionLog, *groups: Sequence[bytes]) -> None:
    """Append a batch of each group, all by one write."""
    await asyncio.gather(*(log.append(build([(None, value) for value in values], 5)) for values in groups))


async def test_what_was_written_last_is_read_from_memory_as_from_the_file(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await append(log, [b"a"])
    await append(log, [b"b", b"c"], [b"d"], [b"e", b"f"])
    reads = [(offset, max_bytes) for offset in range(1, 7) for max_bytes in range(0, log.size, 5)]
    found = [log.read(*one) for one in reads]
    (file,) = (tmp_path / "0").glob("*.log")
    content = file.read_bytes()
    file.write_bytes(bytes(len(content)))
    assert [log.read(*one) for one in reads] == found
    with pytest.raises(DamagedLogError):
        log.read(0, 1)
    file.write_bytes(content)
    await log.close()
    reopened = opened(tmp_path)
    assert [reopened.read(*one) for one in reads] == found


async def test_little_of_what_was_written_is_kept_in_memory(tmp_path: Path) -> None:
    log = opened(tmp_path)
    await append(log, [b"a"])
    await append(log, *([bytes(NEWEST_BYTES // 2)] for _ in range(2)))
    (file,) = (tmp_path / "0").glob("*.log")
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(DamagedLogError):
        log.read(1, 1)
