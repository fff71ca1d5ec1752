"""Records that readers of hubs passed over, looked at and left where they are."""

from datetime import datetime

from msgspec import Struct

from songline.projections.store import DocumentStore
from songline.schemas.parked import ENTRY_COLUMNS, WAITING_QUERY, ParkedEntry
from songline.schemas.types import Moment

LISTED = 20

_NEWEST = "SELECT " + ENTRY_COLUMNS + " FROM c WHERE c.state = 'parked' ORDER BY c.parkedAt DESC"  # noqa: S608 - names of fields


class ParkedAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The records that were parked last and that nobody has sent again or discarded; `waiting` is how many there are,
    `more`: there are others than those in `records`."""

    as_of: Moment
    records: tuple[ParkedEntry, ...]
    waiting: int
    more: bool


async def parked_last(store: DocumentStore, as_of: datetime) -> ParkedAnswer:
    """Raises Unavailable."""
    found = await store.find(_NEWEST, [], LISTED + 1, ParkedEntry)
    (waiting,) = await store.values(WAITING_QUERY, [], 1, int)
    return ParkedAnswer(as_of=as_of, records=tuple(found[:LISTED]), waiting=waiting, more=len(found) > LISTED)
