"""A compacted partition against all that was ever written to it, over crashes and failures of the disk at each step."""

import contextlib
import errno
import gzip

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from localcloud.log.batch import HEADER_SIZE, build
from localcloud.log.partition import LogSettings
from localcloud_tests.support.fuzzing import effort
from localcloud_tests.support.kafka_requests import with_header
from localcloud_tests.unit.log.machine import LIMITS, SIZES, Crash, LogMachine, contents, failing_files

KEYS = st.sampled_from([b"a", b"b", b"c", b"d"]) | st.none()
RECORDS = st.lists(st.tuples(KEYS, SIZES | st.none()), min_size=1, max_size=4)
TOMBSTONE_MS = 1000
FULL = OSError(errno.ENOSPC, "No space left on device")


class CompactedLogAgainstHistory(LogMachine):
    """`history` is every record that was written: (offset, key, value)."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[tuple[int, bytes | None, bytes | None]] = []

    @initialize(segment_bytes=st.sampled_from([1, 300, 1000, 2500]))
    def begin(self, segment_bytes: int) -> None:
        self.settings = LogSettings(segment_bytes=segment_bytes, compacted=True, tombstone_ms=TOMBSTONE_MS)
        self.open()

    @rule(batches=st.lists(RECORDS, min_size=1, max_size=4), later=st.integers(0, 500), compressed=st.booleans())
    def append(self, batches: list[list[tuple[bytes | None, int | None]]], later: int, compressed: bool) -> None:
        self.now += later
        for batch in batches:
            pairs = []
            for key, size in batch:
                value = None if size is None else b"%d:" % len(self.history) + b"x" * size
                self.history.append((len(self.history), key, value))
                pairs.append((key, value))
            data = build(pairs, 1)
            if compressed:
                data = with_header(data, body=gzip.compress(data[HEADER_SIZE:]), attributes=1)
            self.loop.run_until_complete(self._append(data))

    async def _append(self, data: bytes) -> None:
        await self.log.append(data)

    @rule(later=st.integers(0, 1500))
    def compact(self, later: int) -> None:
        self.now += later
        self.maintain()

    @rule(step=st.integers(0, 12))
    def crash_while_compacting(self, step: int) -> None:
        with failing_files(step, Crash()), contextlib.suppress(Crash):
            self.maintain()
        self.open()

    @rule(step=st.integers(0, 12), times=st.sampled_from([1, 100]))
    def compact_on_a_failing_disk(self, step: int, times: int) -> None:
        """The log goes on, by what is there, and what a failed compaction wrote does not fill the disk for good."""
        before = set(self.folder.glob("*-new"))
        with failing_files(step, FULL, times), contextlib.suppress(OSError):
            self.maintain()
        assert times > 1 or set(self.folder.glob("*-new")) <= before

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @rule(limits=LIMITS, fitting=st.integers(1, 6), ahead=st.integers(1, 3))
    def read(self, limits: list[int], fitting: int, ahead: int) -> None:
        self.read_everywhere(limits, fitting, ahead)

    @invariant()
    def readers_end_with_what_was_written(self) -> None:
        if not hasattr(self, "log"):
            return
        assert (self.log.start_offset, self.log.high_watermark) == (0, len(self.history))
        found = contents(self.stored())
        offsets = [offset for offset, *_ in found]
        assert offsets == sorted(set(offsets))
        assert set(found) <= set(self.history)
        # A table that is built of what is left is the one that all of it builds.
        assert table(found) == table(self.history)
        assert [record for record in found if record[1] is None] == [one for one in self.history if one[1] is None]
        assert found[-1:] == self.history[-1:]


def table(history: list[tuple[int, bytes | None, bytes | None]]) -> dict[bytes | None, bytes | None]:
    last = {key: value for _, key, value in history if key is not None}
    return {key: value for key, value in last.items() if value is not None}


TestCompactedLogAgainstHistory = pytest.mark.timeout(900)(CompactedLogAgainstHistory.TestCase)
TestCompactedLogAgainstHistory.settings = effort(60, steps=30)
