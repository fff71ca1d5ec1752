"""The partition against a plain list, over random appends, reads, restarts and torn tails."""

import asyncio
import random
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from localcloud.log.batch import build, records
from localcloud.log.errors import InvalidOffset
from localcloud.log.partition import LogSettings, PartitionLog
from localcloud.log.segment import ENQUEUED

VALUES = st.lists(st.binary(max_size=300), min_size=1, max_size=5)


class LogAgainstList(RuleBasedStateMachine):
    """`kept` is what the log must hold: (enqueued ms, value) by offset, in batches of `sizes`."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp()) / "0"
        self.executor = ThreadPoolExecutor(1)
        self.now = 1000
        self.batches: list[tuple[int, list[bytes]]] = []
        self.log: PartitionLog

    @initialize()
    def open(self) -> None:
        self.log = PartitionLog.open(self.folder, LogSettings(segment_bytes=2000), self.executor, lambda: self.now)

    @property
    def kept(self) -> list[tuple[int, bytes]]:
        return [(ms, value) for ms, values in self.batches for value in values]

    @rule(groups=st.lists(VALUES, min_size=1, max_size=4), later=st.integers(0, 50))
    def append(self, groups: list[list[bytes]], later: int) -> None:
        self.now += later

        async def append_all() -> None:
            await asyncio.gather(*(self.log.submit(build([(None, v) for v in values], 1)) for values in groups))

        self.loop.run_until_complete(append_all())
        self.batches += [(self.now, values) for values in groups]

    @rule(data=st.data(), max_bytes=st.integers(0, 5000))
    def read(self, data: st.DataObject, max_bytes: int) -> None:
        offset = data.draw(st.integers(0, len(self.kept)))
        batches = self.log.read(offset, max_bytes)
        assert bool(batches) == (offset < len(self.kept))
        assert len(batches) <= 1 or sum(len(batch.data) for batch in batches) <= max_bytes
        if batches:
            assert batches[0].base_offset <= offset <= batches[0].last_offset
        found = [
            (batch.base_offset + record.offset_delta, (batch.enqueued_ms, record.value))
            for batch in batches
            for record in records(batch.data)
        ]
        if found:
            assert [value for _, value in found] == self.kept[found[0][0] : found[-1][0] + 1]

    @rule(offset=st.integers(-3, 3))
    def read_outside(self, offset: int) -> None:
        outside = offset if offset < 0 else len(self.kept) + 1 + offset
        with pytest.raises(InvalidOffset):
            self.log.read(outside, 100)

    @rule(data=st.data())
    def look_up_a_time(self, data: st.DataObject) -> None:
        ms = data.draw(st.integers(990, self.now + 10))
        times = [(time, offset) for offset, (time, _) in enumerate(self.kept)]
        assert self.log.offset_at(ms) == next((o for t, o in times if t >= ms), len(times))
        assert self.log.offset_at(ms, inclusive=False) == next((o for t, o in times if t > ms), len(times))

    @rule()
    def restart(self) -> None:
        self.loop.run_until_complete(self.log.close())
        self.open()

    @precondition(lambda self: self.batches)
    @rule(seed=st.integers(0, 2**32), garbage=st.booleans())
    def crash_with_a_torn_tail(self, seed: int, garbage: bool) -> None:
        self.loop.run_until_complete(self.log.close())
        newest = max(self.folder.glob("*.log"))
        data = newest.read_bytes()
        sizes = [ENQUEUED.size + len(batch.data) for batch in self.log._segments[-1].read_all()]
        cut = random.Random(seed).randint(0, len(data))
        newest.write_bytes(data[:cut] + (random.Random(seed).randbytes(90) if garbage else b""))
        while sum(sizes) > cut:
            sizes.pop()
            self.batches.pop()
        self.open()

    @invariant()
    def ends_agree(self) -> None:
        if hasattr(self, "log"):
            assert self.log.start_offset == 0
            assert self.log.high_watermark == self.log.end_offset == len(self.kept)
            assert self.log.last_enqueued_ms == (self.kept[-1][0] if self.kept else -1)

    def teardown(self) -> None:
        self.loop.close()
        self.executor.shutdown()
        shutil.rmtree(self.folder.parent)


TestLogAgainstList = LogAgainstList.TestCase
TestLogAgainstList.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
