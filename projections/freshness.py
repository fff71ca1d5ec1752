"""How fresh an answer is, from what its worker noted."""

from datetime import datetime
from typing import Any

from projections.store import Store
from schemas.progress import PROGRESS, Progress


async def freshness(store: Store, now: datetime) -> dict[str, Any]:
    """The fields of Freshness. To be asked for before what they are to be true of. Raises Unavailable."""
    progress = await store.read(PROGRESS, PROGRESS, Progress)
    reached = {} if progress is None else progress.partitions
    moments = [one.through for one in reached.values()]
    known = [moment for moment in moments if moment is not None]
    return {
        "as_of": now,
        "complete_through": min(known) if known and len(known) == len(moments) else None,
        "position": {
            partition: one.position for partition, one in sorted(reached.items(), key=lambda one: int(one[0]))
        },
    }
