"""Charts as they are asked for: by kind, window and scope."""

import re

from msgspec import structs

from songline.projections.store import DocumentStore
from songline.schemas.documents import CURRENT, GLOBAL, Chart, Kind, Window, chart_key
from songline.schemas.progress import PROGRESS, Freshness
from songline.schemas.regions import REGIONS
from songline.schemas.types import GENRE_PATTERN

_GENRE = re.compile(GENRE_PATTERN)
SCOPE_RULE = "global, region:XX (an ISO 3166-1 alpha-2 code) or genre:name (lower case)"


def is_scope(text: str) -> bool:
    """Whether `text` can name a scope (SCOPE_RULE says so in words); there need not be anything in it."""
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
    """The first `limit` lines of a chart. Where nothing happened in the scope the chart is empty; None when the global
    one of its kind and window has not been computed yet either. Raises Unavailable."""
    # Asked for first, so that it is true of what is found then.
    fresh = await store.read(PROGRESS, PROGRESS, Freshness)
    found = await store.read(CURRENT, chart_key(kind, window, scope), Chart)
    if found is None and scope != GLOBAL:
        world = await store.read(CURRENT, chart_key(kind, window, GLOBAL), Chart)
        if world is None:
            return None
        # The world's chart may be ahead of one that waits to be written for the first time; the progress is not.
        found = structs.replace(world, scope=scope, entries=[], complete_through=None, position={})
        return found if fresh is None else structs.replace(found, **structs.asdict(fresh))
    if found is None:
        return None
    return structs.replace(freshest(found, fresh), entries=found.entries[:limit])


def freshest(found: Chart, fresh: Freshness | None) -> Chart:
    """A stored chart with its own freshness, or that of all charts where this one is newer."""
    if fresh is None or fresh.as_of <= found.as_of:
        return found
    return structs.replace(found, **structs.asdict(fresh))
