"""Erasure: the bytes of songs that were removed go, once no other song has them."""

from datetime import datetime, timedelta
from functools import partial

from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.processors.ingestion.transitions import erased


async def erase_removed(ingestions: IngestionStore, audio: AudioStore, now: datetime, after: timedelta) -> int:
    """Erase the bytes of songs that were removed `after` ago or earlier; return of how many songs.

    Bytes that another song has stay, and so do bytes that were stored again since. Raises AzureError.
    """
    count = 0
    for ingestion in await ingestions.removed(now - after):
        sha256 = ingestion.upload.sha256
        shared = await ingestions.is_shared(sha256)
        if shared or await audio.erase(sha256, now - after):
            await ingestions.amend(await ingestions.find(ingestion.id), partial(erased, now=now))
            count += not shared
    return count
