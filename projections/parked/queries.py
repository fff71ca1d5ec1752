"""Lists parked records: those that a reader of a hub could not apply and skipped."""

from datetime import datetime

from msgspec import Struct

from songline.projections.store import DocumentStore
from songline.schemas.parked import ENTRY_COLUMNS, WAITING_QUERY, ParkedEntry
from songline.schemas.types import Moment

LISTED = 20

_NEWEST = "SELECT " + ENTRY_COLUMNS + " FROM c WHERE c.state = 'parked' ORDER BY c.parkedAt DESC"  # noqa: S608 - names of fields


class ParkedAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The records that were parked last and are neither resubmitted nor discarded. `waiting` is the number of all such
    records. `more` says that there are others than those in `records`."""

    as_of: Moment
    records: tuple[ParkedEntry, ...]
    waiting: int
    more: bool


async def parked_last(store: DocumentStore, as_of: datetime) -> ParkedAnswer:
    """The answer as of `as_of`, newest records first. Raises StoreUnavailableError."""
    found = await store.find(_NEWEST, [], LISTED + 1, ParkedEntry)
    (waiting,) = await store.values(WAITING_QUERY, [], 1, int)
    return ParkedAnswer(as_of=as_of, records=tuple(found[:LISTED]), waiting=waiting, more=len(found) > LISTED)
