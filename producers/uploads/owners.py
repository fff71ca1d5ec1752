"""Whose songs are, as far as the edge can know: by the catalog's document, or by the ingestion that is on its way."""

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
    """The owners of songs. Every question is asked anew: a document that was read a moment ago may be older than the
    upload that is about to be judged by it."""

    def __init__(self, records: UploadRecords, patience_s: float = PATIENCE_S) -> None:
        self._records = records
        self._patience_s = patience_s

    async def of(self, song_ids: Collection[str]) -> dict[str, str | None]:
        """The owner of each song, None where nobody has uploaded it; NOBODY owns what has gone since before owners were
        written down.

        What Cosmos DB does not say within `patience_s` is left out. The folds judge every fact again.
        """
        gate = asyncio.Semaphore(AT_ONCE)
        found: dict[str, str | None] = {}

        async def ask(song_id: str) -> None:
            async with gate:
                found[song_id] = await self._owner(song_id)

        asking = [asyncio.create_task(ask(song_id)) for song_id in song_ids]
        try:
            await asyncio.wait(asking, timeout=self._patience_s)
        finally:
            for task in asking:
                task.cancel()
        failed = [result for result in await asyncio.gather(*asking, return_exceptions=True) if result is not None]
        for result in failed:
            if not isinstance(result, TransientError | asyncio.CancelledError):
                raise result
        if failed:
            logger.warning("facts of %d songs are taken without knowing their owners: %r", len(failed), failed[0])
        return found

    async def _owner(self, song_id: str) -> str | None:
        document = await self._records.in_catalog(song_id)
        if document is not None and document.latest is not None:
            return document.owner or NOBODY
        ingestion = await self._records.read(song_id)
        return None if ingestion is None else ingestion.user_id


def is_fact(event: Event) -> bool:
    """Whether the event is one of those that only a song's owner may say."""
    return isinstance(event.data, SongUploaded | SongRemoved)


def stranger(event: Event, owner: str | None) -> ContractViolationError | None:
    """Why the event is refused where its song belongs to `owner`; None where it is not."""
    if owner in (None, event.data.user_id) or not is_fact(event):
        return None
    song_id = event.data.song_id
    rule = f"the owner of {song_id}, {owner!r}: nobody else says that it is there or gone"
    if owner == NOBODY:
        rule = f"nobody: {song_id} has gone, and whose it was is not known any more"
    return refuse("data.userId", event.data.user_id, rule)
