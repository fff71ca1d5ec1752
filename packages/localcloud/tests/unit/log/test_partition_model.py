"""The partition against a plain list, over unequal appends, reads, restarts, crashes, full disks and retention."""

import asyncio
import contextlib
import errno
import random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from localcloud.log.batch import build, records
from localcloud.log.errors import AppendError
from localcloud.log.frame import ENQUEUED
from localcloud.log.partition import LogSettings
from localcloud_tests.support.fuzzing import effort
from localcloud_tests.unit.log.machine import LIMITS, SEGMENTS, SIZES, Crash, LogMachine, failing_writes

GROUPS = st.lists(st.lists(SIZES, min_size=1, max_size=3), min_size=1, max_size=5)
RETENTION_MS = 1000


class LogAgainstList(LogMachine):
    """`batches` is what the log must hold, in order: (first offset, enqueued ms, values)."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[int, int, list[bytes]]] = []
        self.end = 0
        self.written = 0

    @initialize(segment_bytes=SEGMENTS)
    def begin(self, segment_bytes: int) -> None:
        self.settings = LogSettings(segment_bytes=segment_bytes, retention_ms=RETENTION_MS)
        self.open()

    def _values(self, groups: list[list[int]]) -> list[list[bytes]]:
        """Values of those sizes, each unlike all others."""
        made = []
        for sizes in groups:
            self.written += 1
            made.append([b"%d.%d" % (self.written, number) + b"x" * size for number, size in enumerate(sizes)])
        return made

    def _append(self, groups: list[list[bytes]]) -> list[object]:
        """What became of each batch; all are taken in one turn and written together."""

        async def append_all() -> list[object]:
            batches = (build([(None, value) for value in values], 1) for values in groups)
            return await asyncio.gather(*(self.log.submit(batch) for batch in batches), return_exceptions=True)

        return self.loop.run_until_complete(append_all())

    def _keep(self, groups: list[list[bytes]]) -> None:
        for values in groups:
            self.batches.append((self.end, self.now, values))
            self.end += len(values)

    @rule(groups=GROUPS, later=st.integers(0, 50), one_by_one=st.booleans())
    def append(self, groups: list[list[int]], later: int, one_by_one: bool) -> None:
        self.now += later
        values = self._values(groups)
        for group in [[each] for each in values] if one_by_one else [values]:
            assert not [outcome for outcome in self._append(group) if isinstance(outcome, BaseException)]
            self._keep(group)

    @rule(groups=GROUPS, room=st.integers(0, 6000))
    def append_to_a_full_disk(self, groups: list[list[int]], room: int) -> None:
        """Nothing of it is kept, or all of it when it fits."""
        values = self._values(groups)
        with failing_writes(room, OSError(errno.ENOSPC, "No space left on device")):
            outcomes = self._append(values)
        if any(isinstance(outcome, BaseException) for outcome in outcomes):
            assert all(isinstance(outcome, AppendError) and outcome.disk_full for outcome in outcomes)
        else:
            self._keep(values)

    @rule(groups=GROUPS, written=st.integers(0, 20_000))
    def crash_between_writes(self, groups: list[list[int]], written: int) -> None:
        """Nobody was told, and what is whole of it is kept."""
        values = self._values(groups)
        with failing_writes(written, Crash()), contextlib.suppress(Crash):
            self._append(values)
        self.open()
        whole = []
        for group in values:
            written -= ENQUEUED.size + len(build([(None, value) for value in group], 1))
            if written < 0:
                break
            whole.append(group)
        self._keep(whole)

    @rule(limits=LIMITS, fitting=st.integers(1, 6), ahead=st.integers(1, 3))
    def read(self, limits: list[int], fitting: int, ahead: int) -> None:
        self.read_everywhere(limits, fitting, ahead)
        found = [
            (batch.base_offset, batch.enqueued_ms, [record.value for record in records(batch.data)])
            for batch in self.log.read(self.log.start_offset, 1 << 30)
        ]
        assert found == self.batches

    @rule(data=st.data())
    def look_up_a_time(self, data: st.DataObject) -> None:
        ms = data.draw(st.integers(self.now - 1000, self.now + 10))
        for inclusive in (True, False):
            later = (base for base, time, _ in self.batches if time >= ms + (not inclusive))
            assert self.log.offset_at(ms, inclusive=inclusive) == next(later, self.end)

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @rule(later=st.integers(0, 1500))
    def expire(self, later: int) -> None:
        """Whole segments go, and only what is old enough."""
        self.now += later
        self.maintain()
        start = self.log.start_offset
        assert all(time < self.now - RETENTION_MS for base, time, _ in self.batches if base < start)
        self.batches = [batch for batch in self.batches if batch[0] >= start]

    @precondition(lambda self: self.batches)
    @rule(seed=st.integers(0, 2**32), garbage=st.booleans())
    def crash_with_a_torn_tail(self, seed: int, garbage: bool) -> None:
        """As after a loss of power: the newest segment ends anywhere, or in something else."""
        self.close()
        newest = max(self.folder.glob("*.log"))
        data = newest.read_bytes()
        sizes = [ENQUEUED.size + len(batch.data) for batch in self.log._segments[-1].read_all()]
        cut = random.Random(seed).randint(0, len(data))
        (self.folder / "synced").unlink(missing_ok=True)  # as if it had not been synced: else it is damage
        newest.write_bytes(data[:cut] + (random.Random(seed).randbytes(90) if garbage else b""))
        while sum(sizes) > cut:
            sizes.pop()
            self.end = self.batches.pop()[0]
        self.open()

    @invariant()
    def ends_agree(self) -> None:
        if hasattr(self, "log"):
            assert self.log.start_offset == (self.batches[0][0] if self.batches else self.end)
            assert self.log.high_watermark == self.log.end_offset == self.end


TestLogAgainstList = pytest.mark.timeout(900)(LogAgainstList.TestCase)  # a failure is made small for minutes
TestLogAgainstList.settings = effort(120, steps=25)
