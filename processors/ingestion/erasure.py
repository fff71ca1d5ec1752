"""Erasure: the bytes of songs that were removed go, once no other song has them."""

from datetime import datetime, timedelta
from functools import partial
from typing import Literal, TypeAlias

from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.processors.ingestion.transitions import erased

BytesErasure: TypeAlias = Literal["erased", "absent", "shared", "busy"]
"""What became of bytes that were to go: they were not there, an available song has them, or an upload that is not
decided may have them, or was stored meanwhile."""


async def erase_bytes(
    ingestions: IngestionStore, audio: AudioStore, sha256: str, untouched_since: datetime | None = None
) -> BytesErasure:
    """Erase the bytes with this hash, unless something needs them, or they were touched since `untouched_since`.

    They are found first, and deleted as they were then: a worker makes an ingestion `processing` before it stores or
    touches its bytes. So either it is seen here, or the bytes have changed. Raises AzureError.
    """
    found = await audio.find(sha256)
    if found is None:
        return "absent"
    states = await ingestions.holding(sha256)
    if "ready" in states:
        return "shared"
    if states or (untouched_since is not None and found.touched_at >= untouched_since):
        return "busy"
    return "erased" if await audio.delete(found) else "busy"


async def erase_removed(ingestions: IngestionStore, audio: AudioStore, now: datetime, after: timedelta) -> int:
    """Erase the bytes of songs that were removed `after` ago or earlier; return of how many songs.

    Bytes that another song has stay, and so do bytes that were stored again since. Raises AzureError.
    """
    count = 0
    for ingestion in await ingestions.removed(now - after):
        outcome = await erase_bytes(ingestions, audio, ingestion.upload.sha256, now - after)
        if outcome != "busy":
            await ingestions.amend(await ingestions.find(ingestion.id), partial(erased, now=now))
            count += outcome != "shared"
    return count
