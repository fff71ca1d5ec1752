"""Records that a reader of a hub could not apply: the documents of the container `parked`."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct, structs

from songline.schemas.types import Moment

BODY_LIMIT_BYTES = 64 * 1024
"""So much of a body is kept; the hub has the rest of it."""

CRASHES_THE_FOLD = "crashes-the-fold"
"""The reason of a record whose fold raised an error that is not foreseen, hung, or ended the process."""

REFUSED_BY_STORE = "refused-by-store"
"""The reason of a record whose documents the store refuses, on every try and from every worker."""

ParkedState = Literal["parked", "resubmitted", "discarded"]

_DETAIL_LIMIT = 1_000
_SAME_MOMENT = timedelta(seconds=1)


class ReaderFailure(Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a reader passed the record over: `reason` is a word for programs (that of a poison record, `crashes-the-fold`
    or `refused-by-store`), `detail` a line for people."""

    reason: str
    detail: str
    parked_at: Moment


class ParkedAction(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What somebody did with a parked record. `readers`: for whom it was sent again."""

    action: Literal["resubmitted", "discarded"]
    at: Moment
    by: str
    readers: tuple[str, ...] = ()
    note: str | None = None


class ParkedEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """A record of a hub that at least one reader could not apply; `id` is made by `parked_id`.

    `position` is its sequence number. `body` is base64 of the whole body or, where it is not `complete`, of its first
    BODY_LIMIT_BYTES; the body has `body_bytes`. `readers` holds why, by the reader's name: `trending`, `library`,
    `catalog`. `parked_at` is when the first of them failed. `actions`, oldest first, are what was done since; `state`
    is what the last of them made of it, or `parked` once a further reader fails.
    """

    id: str
    hub: str
    partition: str
    position: int
    enqueued_at: Moment | None
    body_bytes: int
    body: str
    complete: bool
    parked_at: Moment
    readers: dict[str, ReaderFailure]
    state: ParkedState = "parked"
    actions: tuple[ParkedAction, ...] = ()

    @property
    def body_beginning(self) -> bytes:
        """The bytes in `body`."""
        return b64decode(self.body)


class ParkedEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """A parked record without its body, as it is listed: see ParkedEvent."""

    id: str
    hub: str
    partition: str
    position: int
    enqueued_at: Moment | None
    body_bytes: int
    complete: bool
    parked_at: Moment
    readers: dict[str, ReaderFailure]
    state: ParkedState
    actions: tuple[ParkedAction, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of its readers, each once, in order."""
        return tuple(sorted({failure.reason for failure in self.readers.values()}))


ENTRY_COLUMNS = ", ".join(f'c["{name}"]' for name in ParkedEntry.__struct_encode_fields__)
"""The columns that a query selects of a document `c` for a ParkedEntry."""

WAITING_QUERY = "SELECT VALUE COUNT(1) FROM c WHERE c.state = 'parked'"
"""How many records were neither sent again nor discarded."""


def entry_of(parked: ParkedEvent) -> ParkedEntry:
    """The record without its body."""
    return ParkedEntry(**{name: getattr(parked, name) for name in ParkedEntry.__struct_fields__})


def acted(before: ParkedEvent, action: ParkedAction) -> ParkedEvent:
    """`before` after `action`."""
    return structs.replace(before, state=action.action, actions=(*before.actions, action))


def parked_id(hub: str, partition: str, position: int) -> str:
    """`music-events:2:1187`."""
    return f"{hub}:{partition}:{position}"


def parked_event(
    reader: str,
    hub: str,
    partition: str,
    position: int,
    enqueued_at: datetime | None,
    body: bytes,
    reason: str,
    detail: str,
    now: datetime,
) -> ParkedEvent:
    """The document of a record that `reader` fails on at `now`. Text that JSON can't carry is escaped."""
    return ParkedEvent(
        id=parked_id(hub, partition, position),
        hub=hub,
        partition=partition,
        position=position,
        enqueued_at=enqueued_at,
        body_bytes=len(body),
        body=b64encode(body[:BODY_LIMIT_BYTES]).decode(),
        complete=len(body) <= BODY_LIMIT_BYTES,
        parked_at=now,
        readers={reader: ReaderFailure(reason=reason, detail=_line(detail), parked_at=now)},
    )


def with_words(parked: ParkedEvent, reader: str, body: bytes, detail: str) -> ParkedEvent:
    """The document with other words in what is kept of its body, and in the detail of a reader."""
    failure = structs.replace(parked.readers[reader], detail=_line(detail))
    return structs.replace(
        parked,
        body=b64encode(body[:BODY_LIMIT_BYTES]).decode(),
        body_bytes=len(body) if parked.complete else parked.body_bytes,
        complete=parked.complete and len(body) <= BODY_LIMIT_BYTES,
        readers={**parked.readers, reader: failure},
    )


def is_same_record(one: ParkedEvent, other: ParkedEvent) -> bool:
    """Whether both are of one record. A hub that was made anew gives its positions to other records.

    Bodies are not compared: over Kafka, a body that was sent as no bytes arrives in AMQP's encoding.
    """
    if one.id != other.id:
        return False
    if one.enqueued_at is None or other.enqueued_at is None:
        return True
    # Over Kafka and over AMQP the moment may be rounded differently.
    return abs(one.enqueued_at - other.enqueued_at) < _SAME_MOMENT


def of_another_hub(parked: ParkedEvent) -> ParkedEvent:
    """The document under an id of its own, where its id is taken by the same position of a hub that was there before.

    The id ends in the Unix milliseconds at which the hub took the record, so that it is the same however often.
    """
    moment = 0 if parked.enqueued_at is None else round(parked.enqueued_at.timestamp() * 1_000)
    return structs.replace(parked, id=f"{parked_id(parked.hub, parked.partition, parked.position)}:{moment}")


def merged(before: ParkedEvent, parked: ParkedEvent) -> ParkedEvent:
    """`before` with those readers of `parked` that it does not have yet; a reader's first failure stays."""
    fresh = _without(parked.readers, before.readers)
    if not fresh:
        return before
    return structs.replace(before, readers={**before.readers, **fresh}, state="parked")


def _without(readers: Mapping[str, ReaderFailure], known: Mapping[str, ReaderFailure]) -> dict[str, ReaderFailure]:
    return {name: failure for name, failure in readers.items() if name not in known}


def _line(text: str) -> str:
    """`text` on a line, in characters that UTF-8 and a terminal can carry, not longer than a detail may be."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    printable = "".join(one if one.isprintable() else repr(one)[1:-1] for one in safe[:_DETAIL_LIMIT])
    return printable[:_DETAIL_LIMIT]
