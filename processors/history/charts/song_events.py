"""The uploads and removals of songs in a history: what charts need of events that are older than their windows.

They are few, and finding them takes a reading of the whole archive. So they are kept beside it, a blob for each
partition, and an event is read once. The blobs are made from the archive, and may be deleted at any time.
"""

from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Self

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient
from msgspec import Struct

from songline.processors.history.archive.readable import EventColumns, EventsRead, ReadableHistory
from songline.processors.history.erasure.names_to_come import NOBODY_LEAVES, NamesToCome
from songline.schemas.decoding import MsgpackDecoder
from songline.schemas.errors import PoisonError
from songline.schemas.events import TYPE_NAMES, SongRemoved, SongUploaded

PREFIX = "song-events/"
TRIES = 5
"""How often another process may make or delete a blob first."""
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
    """Song events beside an archive, in the blob container of its index; None keeps nothing. `names` are those of
    listeners who are being forgotten: what was kept before has their ids.

    An erasure deletes the blobs after it has rewritten the files. So one is only written where it is still the one that
    was there before the files were read.
    """

    def __init__(self, container: ContainerClient | None, names: NamesToCome = NOBODY_LEAVES) -> None:
        self._container = container
        self._names = names

    async def read(
        self, history: ReadableHistory, partition: str, files: Sequence[tuple[str, str]], first: int, last: int
    ) -> EventColumns:
        """The song events of a partition from its first position to `last`, which are in these `files`.

        Raises AzureError and what reading the history raises.
        """
        known, etag = await self._known(partition)
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
            await self._keep(partition, known, etag)
        part = known.part(last)
        bodies = self._names.renamed(partition, part.positions, part.enqueued_s, part.bodies)
        return EventColumns(part.positions, part.enqueued_s, bodies)

    async def _known(self, partition: str) -> tuple[SongEvents, str]:
        """What is kept of a partition, and the ETag of its blob, which is made where there is none; empty where it
        can't be made."""
        if self._container is None:
            return SongEvents.none(), ""
        blob = self._container.get_blob_client(f"{PREFIX}{partition}")
        for _ in range(TRIES):
            try:
                download = await blob.download_blob()
                data, etag = await download.readall(), str(download.properties.etag)
            except ResourceNotFoundError:
                with suppress(AzureError):
                    await self._container.create_container()
                with suppress(ResourceExistsError, ResourceNotFoundError):
                    await blob.upload_blob(_encode(SongEvents.none()))
                continue
            with suppress(PoisonError):
                return _decode(data), etag
            return SongEvents.none(), etag
        return SongEvents.none(), ""

    async def _keep(self, partition: str, known: SongEvents, etag: str) -> None:
        if self._container is None or not etag:
            return
        blob = self._container.get_blob_client(f"{PREFIX}{partition}")
        # Where it is another one by now, or gone, the next one reads the archive again.
        with suppress(ResourceModifiedError, ResourceNotFoundError):
            await blob.upload_blob(
                _encode(known), overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified
            )


_encode = msgspec.msgpack.Encoder().encode
_decode = MsgpackDecoder(SongEvents).decode
