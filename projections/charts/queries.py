"""Reads charts by kind, window and scope."""

import re
from collections.abc import Mapping
from datetime import datetime

from msgspec import structs

from songline.projections.freshness import earliest
from songline.projections.store import DocumentStore
from songline.schemas.documents import CURRENT, GLOBAL, UNKNOWN_GENRE, Chart, Kind, Window, chart_key
from songline.schemas.genres import asked_genre
from songline.schemas.progress import PROGRESS, ChartsFreshness, Freshness
from songline.schemas.regions import REGIONS
from songline.schemas.types import GENRE_PATTERN

_GENRE = re.compile(GENRE_PATTERN)
SCOPE_RULE = "global, region:XX (an ISO 3166-1 alpha-2 code) or genre:name (one genre, of any script)"


def read_scope(text: str) -> str | None:
    """The scope that `text` asks for, a genre by its name in charts; None where it names none (see SCOPE_RULE)."""
    name, colon, value = text.partition(":")
    if name == "genre" and colon:
        # Songs whose genre is not known have a chart, and no genre has that name.
        genre = UNKNOWN_GENRE if value.strip().lower() == UNKNOWN_GENRE else asked_genre(value)
        return None if genre is None else f"genre:{genre}"
    return text if is_scope(text) else None


def is_scope(text: str) -> bool:
    """Whether `text` is the name of a scope in charts. The scope may be empty."""
    name, colon, value = text.partition(":")
    match name:
        case "global":
            return not colon
        case "region":
            return value in REGIONS
        case "genre":
            return _GENRE.search(value) is not None
        case _:
            return False


async def chart(store: DocumentStore, kind: Kind, window: Window, scope: str, limit: int) -> Chart | None:
    """The first `limit` entries of a chart.

    The chart of a scope without events is empty. None if the global chart of its kind and window is not computed yet.
    Raises StoreUnavailableError.
    """
    # The progress is read first, so that it holds for the chart that is read after it.
    key = chart_key(kind, window, scope)
    fresh = await _least_freshness(store, key)
    found = await store.read(CURRENT, key, Chart)
    if found is None and scope != GLOBAL:
        world = await store.read(CURRENT, chart_key(kind, window, GLOBAL), Chart)
        if world is None:
            return None
        # The global chart may be ahead of one that is not written yet. The progress is not.
        found = structs.replace(world, scope=scope, entries=[], complete_through=None, position={})
        return found if fresh is None else structs.replace(found, **structs.asdict(fresh))
    if found is None:
        return None
    return structs.replace(freshest(found, fresh), entries=found.entries[:limit])


async def _least_freshness(store: DocumentStore, key: str) -> Freshness | None:
    """How fresh the chart is at least, None while that is unknown. Raises StoreUnavailableError."""
    told = await store.read(PROGRESS, PROGRESS, ChartsFreshness)
    if told is None or key in told.refused:
        return None
    return Freshness(as_of=told.as_of, complete_through=told.complete_through, position=told.position)


async def complete_through(store: DocumentStore, *keys: str) -> datetime | None:
    """The moment through which all charts are complete, None while that is unknown; of those that the store refuses as
    they are now, only the ones of these `keys` are meant. Raises StoreUnavailableError."""
    told = await store.read(PROGRESS, PROGRESS, ChartsFreshness)
    if told is None:
        return None
    refused = [await store.read(CURRENT, key, Chart) for key in keys if key in told.refused]
    return earliest([told.complete_through, *(None if one is None else one.complete_through for one in refused)])


def position_in(found: Chart, created_at: datetime | None) -> Mapping[str, int]:
    """The position of a chart in the hub that was created at `created_at`, None if it is unknown; empty for a chart
    that has nothing of this hub, but of one that was there before."""
    newest = found.complete_through or found.as_of
    return {} if created_at is not None and newest < created_at else found.position


def freshest(found: Chart, fresh: Freshness | None) -> Chart:
    """The stored chart with its own freshness, or with that of all charts if it is newer."""
    if fresh is None or fresh.as_of <= found.as_of:
        return found
    return structs.replace(found, **structs.asdict(fresh))
