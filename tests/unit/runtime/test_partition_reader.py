"""When a partition's reader folds, beside the pieces of other partitions of its process."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.parking_bound import ParkingBound
from songline.processors.runtime.partition_reader import PartitionReader
from songline.processors.runtime.piece_gate import PieceGate
from songline.processors.runtime.record_renaming import RecordsAsWritten
from songline.processors.runtime.resume_point import HubState
from songline.schemas.errors import PoisonError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class _Processor:
    """Says what it does."""

    is_full = False

    def __init__(self) -> None:
        self.did: list[str] = []

    async def process(self, records: Sequence[HubRecord]) -> Mapping[int, PoisonError]:
        self.did.append(f"folds {len(records)}")
        return {}

    async def flush(self) -> None:
        self.did.append("writes")

    def close(self) -> None:
        """Nothing is held."""


async def test_what_is_folded_as_usual_waits_while_a_suspect_of_another_partition_is_folded() -> None:
    gate, processor = PieceGate(), _Processor()
    shared: Any = SimpleNamespace(
        reader="library", hub="music-events", open=lambda partition, retries: processor, bound=ParkingBound(),
        watermarks=SimpleNamespace(read=AsyncMock(return_value=None), advance=AsyncMock()),
        metadata=SimpleNamespace(read_state=AsyncMock(return_value=HubState(NOON, 0, 99))),
        attempts=SimpleNamespace(read=AsyncMock(return_value=None), write=AsyncMock()),
        parked=None, renaming=RecordsAsWritten(), piece_gate=gate, steady=lambda: 0.0, now=lambda: NOON,
    )  # fmt: skip
    reader = PartitionReader("0", "me", shared)
    await reader.resume()
    for work, done in (
        (reader.process([HubRecord(position, NOON, b"{}") for position in range(3)]), ["folds 3"]),
        (reader.commit(), ["folds 3", "writes"]),
    ):
        before = list(processor.did)
        async with gate.alone():
            working = asyncio.create_task(work)
            for _ in range(20):
                await asyncio.sleep(0)
            # What ends the process now must be in the suspect.
            assert processor.did == before
        async with asyncio.timeout(60):
            await working
        assert processor.did == done
    assert reader.written_position == 2


async def test_what_a_stay_begins_with_is_asked_for_at_once() -> None:
    asked, all_asked = 0, asyncio.Event()

    async def answer(*_: str) -> Any:
        nonlocal asked
        asked += 1
        if asked == 3:
            all_asked.set()
        await all_asked.wait()

    async def read_state(_: str) -> HubState:
        assert asked == 3, "the watermark may move: it is never beyond the end that the hub has later"
        return HubState(NOON, 0, 99)

    shared: Any = SimpleNamespace(
        reader="library", hub="music-events", open=lambda *_: _Processor(), bound=ParkingBound(),
        watermarks=SimpleNamespace(read=answer), metadata=SimpleNamespace(read_state=read_state),
        attempts=SimpleNamespace(read=answer, write=AsyncMock()), parked=None,
        renaming=SimpleNamespace(refresh=answer), piece_gate=PieceGate(), steady=lambda: 0.0, now=lambda: NOON,
    )  # fmt: skip
    reader = PartitionReader("0", "me", shared)
    async with asyncio.timeout(60):
        await reader.resume()
    assert reader.next_position == 0
    shared.attempts.write.assert_awaited_once()
