"""The owners of songs for the write API: from the catalog's document, or else from the ingestion."""

import asyncio
import logging
from collections.abc import Collection

from songline.producers.publishing.errors import TransientError
from songline.producers.uploads.upload_record import UploadRecords
from songline.schemas.acceptance import refuse
from songline.schemas.envelope import Event
from songline.schemas.errors import ContractViolationError
from songline.schemas.events import SongRemoved, SongUploaded
from songline.schemas.ownership import NOBODY

logger = logging.getLogger("songline.producers.uploads.owners")

AT_ONCE = 16
PATIENCE_S = 5.0


class SongOwners:
    """Reads the owners of songs. Nothing is cached: a cached document may be older than the upload that is checked."""

    def __init__(self, records: UploadRecords, patience_s: float = PATIENCE_S) -> None:
        self._records = records
        self._patience_s = patience_s

    async def of(self, song_ids: Collection[str]) -> dict[str, str | None]:
        """The owner of each song, None if it was never uploaded. NOBODY owns a song that was removed before owners were
        recorded.

        A song for which Cosmos DB gives no answer within `patience_s` seconds is left out. The workers check every fact
        again.
        """
        gate = asyncio.Semaphore(AT_ONCE)
        found: dict[str, str | None] = {}

        async def read(song_id: str) -> None:
            async with gate:
                found[song_id] = await self._owner(song_id)

        reads = [asyncio.create_task(read(song_id)) for song_id in song_ids]
        try:
            await asyncio.wait(reads, timeout=self._patience_s)
        finally:
            for task in reads:
                task.cancel()
        failed = [result for result in await asyncio.gather(*reads, return_exceptions=True) if result is not None]
        for result in failed:
            if not isinstance(result, TransientError | asyncio.CancelledError):
                raise result
        if failed:
            logger.warning("facts of %d songs are taken without a check of their owners: %r", len(failed), failed[0])
        return found

    async def _owner(self, song_id: str) -> str | None:
        document = await self._records.in_catalog(song_id)
        if document is not None and document.latest is not None:
            return document.owner or NOBODY
        ingestion = await self._records.read(song_id)
        return None if ingestion is None else ingestion.user_id


def is_fact(event: Event) -> bool:
    """Whether only the song's owner may publish the event."""
    return isinstance(event.data, SongUploaded | SongRemoved)


def stranger(event: Event, owner: str | None) -> ContractViolationError | None:
    """The error that refuses the event if its song belongs to `owner`; None if the event is allowed."""
    if owner in (None, event.data.user_id) or not is_fact(event):
        return None
    song_id = event.data.song_id
    rule = f"the owner of {song_id}, {owner!r}: nobody else says that it is there or gone"
    if owner == NOBODY:
        rule = f"nobody: {song_id} has gone, and whose it was is not known any more"
    return refuse("data.userId", event.data.user_id, rule)
