"""The freshness of an answer, from the watermarks that its worker wrote."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from songline.projections.store import DocumentStore
from songline.schemas.progress import PROGRESS, Watermark, WatermarkDocument


async def read_watermarks(store: DocumentStore, created_at: datetime | None = None) -> dict[str, Watermark]:
    """How far the projection in `store` is, by partition; empty before its worker has written it. Raises
    StoreUnavailableError.

    Call it before the documents are read, so that the watermarks hold for them. `created_at` is the creation time of
    the hub, None if it is unknown. Positions of a hub that was created earlier don't count: of this hub nothing is
    applied. Of one that was created later the worker has heard before the caller.
    """
    progress = await store.read(PROGRESS, PROGRESS, WatermarkDocument)
    return {} if progress is None else of_hub(progress.partitions, created_at)


def of_hub(reached: dict[str, Watermark], created_at: datetime | None) -> dict[str, Watermark]:
    """The watermarks, with nothing applied in place of those of a hub that was created before `created_at`; None: when
    it was created is not known."""
    if created_at is None:
        return reached
    nothing = Watermark(position=-1, through=None)
    return {
        partition: nothing if one.created_at is not None and one.created_at < created_at else one
        for partition, one in reached.items()
    }


def freshness(as_of: datetime, through: datetime | None, reached: Mapping[str, Watermark]) -> dict[str, Any]:
    """The fields of Freshness."""
    partitions = sorted(reached, key=int)
    return {
        "as_of": as_of,
        "complete_through": through,
        "position": {partition: reached[partition].position for partition in partitions},
    }


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """The earliest of `moments`; None if one of them is None, or if there are none."""
    every = list(moments)
    known = [moment for moment in every if moment is not None]
    return min(known) if known and len(known) == len(every) else None
