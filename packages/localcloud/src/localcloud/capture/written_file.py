"""Writes a planned file: the same bytes each time, from the log."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import blake2b
from typing import Final, Protocol

from localcloud.capture.avro_file import BLOCK_BYTES, SYNC_BYTES, file_block, file_header
from localcloud.capture.event_fields import encode_records
from localcloud.capture.pace import paced
from localcloud.capture.state_file import PlannedFile
from localcloud.log.partition import PartitionLog
from localcloud.log.segment import StoredBatch

READ_BYTES: Final = 128 << 10
"""What is read and encoded before clients have their turn: about a millisecond of work."""
PIECE_BYTES: Final = 4 << 20
"""What Blob Storage is sent at once: with its own, a tenth of a second of work. Azurite keeps each in its index."""


class WholeBlobs(Protocol):
    """Where files go, as `ArchiveBlobs` has it."""

    async def exists(self, container: str, name: str) -> bool: ...

    async def write(self, container: str, name: str, pieces: AsyncIterator[bytes]) -> None: ...


class FileWriter:
    """The file of a plan. After `write` or `scan`: `end` is the first event that it does not hold, `last_ms` when the
    hub took its last one (Unix ms), `is_full` whether it has reached its size."""

    def __init__(self, log: PartitionLog, plan: PlannedFile) -> None:
        self._log = log
        self._plan = plan
        self._begin()

    async def write(self, blobs: WholeBlobs, span_s: float) -> None:
        """Make the blob where it is missing, spread over `span_s`. Raises what `ArchiveBlobs` raises, and OSError of
        the log."""
        clock = asyncio.get_running_loop().time
        pieces = paced(self._pieces(), self._part, span_s, clock, asyncio.sleep)
        await blobs.write(self._plan.container, self._plan.name, pieces)

    async def scan(self) -> None:
        """Find out what the blob holds, which is there. Raises OSError."""
        async for _ in self._batches():
            pass

    def _part(self) -> float:
        """How much of the plan the pieces have so far."""
        return (self.end - self._plan.first) / max(1, self._plan.end - self._plan.first)

    def _begin(self) -> None:
        self.end = self._plan.first
        self.last_ms = self._plan.start_s * 1000
        self.is_full = False

    async def _pieces(self) -> AsyncIterator[bytes]:
        plan = self._plan
        sync = blake2b(f"{plan.name} {plan.first}".encode(), digest_size=SYNC_BYTES).digest()
        piece = bytearray(file_header(plan.codec, sync))
        count, records = 0, bytearray()
        async for batch in self._batches():
            events, encoded = encode_records(batch)
            count += events
            records += encoded
            if len(records) >= BLOCK_BYTES:
                piece += file_block(count, records, plan.codec, sync)
                count, records = 0, bytearray()
            if len(piece) >= PIECE_BYTES:
                yield bytes(piece)
                piece = bytearray()
        if records:
            piece += file_block(count, records, plan.codec, sync)
        if piece:
            yield bytes(piece)

    async def _batches(self) -> AsyncIterator[StoredBatch]:
        self._begin()
        size = 0
        while self.end < self._plan.end and not self.is_full:
            for batch in self._log.read(self.end, READ_BYTES):
                if batch.base_offset >= self._plan.end:
                    self.end = self._plan.end
                    return
                yield batch
                size += len(batch.data)
                self.end, self.last_ms = batch.last_offset + 1, batch.enqueued_ms
                self.is_full = size >= self._plan.size_limit_bytes
                if self.is_full:
                    return
            await asyncio.sleep(0)
