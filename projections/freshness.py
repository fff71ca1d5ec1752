"""How fresh an answer is, from what its worker noted."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from songline.projections.store import DocumentStore
from songline.schemas.progress import PROGRESS, Watermark, WatermarkDocument


async def freshness(store: DocumentStore, now: datetime, created_at: datetime | None = None) -> dict[str, Any]:
    """The fields of Freshness. To be asked for before what they are to be true of. Raises Unavailable.

    Of a hub that was created at another moment than `created_at`, None where that is not known, positions say nothing:
    nothing of this one is applied then.
    """
    progress = await store.read(PROGRESS, PROGRESS, WatermarkDocument)
    reached = {} if progress is None else progress.partitions
    if created_at is not None:
        nothing = Watermark(position=-1, through=None)
        reached = {
            partition: one if one.created_at in (None, created_at) else nothing for partition, one in reached.items()
        }
    return {
        "as_of": now,
        "complete_through": earliest(one.through for one in reached.values()),
        "position": {
            partition: one.position for partition, one in sorted(reached.items(), key=lambda one: int(one[0]))
        },
    }


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """The moment up to which all are complete; None where one of them is not known, or there is none."""
    every = list(moments)
    known = [moment for moment in every if moment is not None]
    return min(known) if known and len(known) == len(every) else None
