"""The uploads and removals of songs in a history: what charts need of events that are older than their windows.

They are few, and finding them takes a reading of the whole archive. So they are kept beside it, a blob for each
partition, and an event is read once. The blobs are made from the archive, and may be deleted at any time.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Self

import msgspec
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient
from msgspec import Struct

from songline.processors.history.archive.readable import EventColumns, EventsRead, ReadableHistory
from songline.schemas.decoding import MsgpackDecoder
from songline.schemas.errors import PoisonError
from songline.schemas.events import TYPE_NAMES, SongRemoved, SongUploaded

PREFIX = "song-events/"
_MARKS = tuple(TYPE_NAMES[kind].rpartition(".")[0].encode() for kind in (SongUploaded, SongRemoved))
_ESCAPE = b"\\u"


class SongEvents(Struct):
    """The uploads and removals of a partition up to the position `through`, which are those of these `files` (path and
    version of the content)."""

    files: list[tuple[str, str]]
    through: int
    positions: list[int]
    enqueued_s: list[int]
    bodies: list[bytes]

    @classmethod
    def none(cls) -> Self:
        return cls([], -1, [], [], [])

    def add(self, batch: EventsRead, last: int) -> None:
        """Take in what a batch has up to the position `last`."""
        for position, second, body in zip(batch.positions, batch.enqueued_s, batch.bodies, strict=True):
            if self.through < position <= last and is_of_song(body):
                self.positions.append(position)
                self.enqueued_s.append(second)
                self.bodies.append(body)
        self.through = max(self.through, min(last, batch.positions[-1]))

    def part(self, last: int) -> EventColumns:
        """Those up to the position `last`."""
        end = sum(position <= last for position in self.positions)
        return EventColumns(self.positions[:end], self.enqueued_s[:end], self.bodies[:end])


def is_of_song(body: bytes) -> bool:
    """Whether an event may be an upload or a removal. A type may be written with escapes, so any escape may be one."""
    return any(mark in body for mark in _MARKS) or _ESCAPE in body


class SongEventStore:
    """Song events beside an archive, in the blob container of its index; None keeps nothing."""

    def __init__(self, container: ContainerClient | None) -> None:
        self._container = container

    async def read(
        self, history: ReadableHistory, partition: str, files: Sequence[tuple[str, str]], first: int, last: int
    ) -> EventColumns:
        """The song events of a partition from its first position to `last`, which are in these `files`.

        Raises AzureError and what reading the history raises.
        """
        known = await self._known(partition)
        both = min(len(known.files), len(files))
        if known.files[:both] != list(files[:both]):
            # A file was written anew, as erasure does it: nothing that was read before is to be used.
            known = SongEvents.none()
        if known.through < last:
            known.through = max(known.through, first - 1)
            async with aclosing(history.read(partition, known.through)) as found:
                async for batch in found:
                    known.add(batch, last)
                    if known.through >= last:
                        break
            known.files = list(files)
            await self._keep(partition, known)
        return known.part(last)

    async def _known(self, partition: str) -> SongEvents:
        if self._container is None:
            return SongEvents.none()
        try:
            blob = await self._container.download_blob(f"{PREFIX}{partition}")
            return _decode(await blob.readall())
        except (ResourceNotFoundError, PoisonError):
            return SongEvents.none()

    async def _keep(self, partition: str, known: SongEvents) -> None:
        if self._container is None:
            return
        try:
            await self._container.upload_blob(f"{PREFIX}{partition}", _encode(known), overwrite=True)
        except ResourceNotFoundError:
            try:
                await self._container.create_container()
                await self._container.upload_blob(f"{PREFIX}{partition}", _encode(known), overwrite=True)
            except AzureError:
                # The next one reads the archive again.
                return


_encode = msgspec.msgpack.Encoder().encode
_decode = MsgpackDecoder(SongEvents).decode
