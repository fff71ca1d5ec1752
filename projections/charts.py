"""Charts as they are asked for: by kind, window and scope."""

import re

from msgspec import structs

from projections.store import Store
from schemas.documents import CURRENT, GLOBAL, Chart, Kind, Window, chart_key
from schemas.regions import REGIONS
from schemas.types import GENRE_PATTERN

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


async def chart(store: Store, kind: Kind, window: Window, scope: str, limit: int) -> Chart | None:
    """The first `limit` lines of a chart. Where nothing happened in the scope the chart is empty and as fresh as the
    global one of its kind and window; None when that has not been computed yet either. Raises Unavailable."""
    found = await store.read(CURRENT, chart_key(kind, window, scope), Chart)
    if found is None and scope != GLOBAL:
        world = await store.read(CURRENT, chart_key(kind, window, GLOBAL), Chart)
        return None if world is None else structs.replace(world, scope=scope, entries=[])
    return None if found is None else structs.replace(found, entries=found.entries[:limit])
