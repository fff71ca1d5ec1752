"""The freshness of an answer, from the watermarks that its worker wrote."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from songline.projections.store import DocumentStore
from songline.schemas.progress import PROGRESS, Watermark, WatermarkDocument


async def freshness(store: DocumentStore, now: datetime, created_at: datetime | None = None) -> dict[str, Any]:
    """The fields of Freshness. Raises StoreUnavailableError.

    Call it before the documents are read, so that the freshness holds for them. `created_at` is the creation time of
    the hub, None if it is unknown. Positions of a hub with another creation time don't count: of this hub nothing is
    applied.
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
    """The earliest of `moments`; None if one of them is None, or if there are none."""
    every = list(moments)
    known = [moment for moment in every if moment is not None]
    return min(known) if known and len(known) == len(every) else None
