"""Events of others, taken in one by one: each has a result of its own."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from songline.producers.http.recent_events import RecentEvents
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.producers.publishing.hub_end import HubEnds
from songline.producers.publishing.publisher import EventPublisher
from songline.producers.publishing.state import Outcome
from songline.producers.uploads.first_uploaders import FirstUploaders
from songline.producers.uploads.owners import SongOwners, is_fact, stranger
from songline.schemas.acceptance import accepted, refuse
from songline.schemas.decoding import Decoder
from songline.schemas.envelope import Event
from songline.schemas.errors import ContractViolationError, PoisonError, Violation
from songline.schemas.events import TYPE_NAMES, NameMatched, NameUnmatched, SongUploaded
from songline.schemas.permission import UNRESTRICTED, Permission

Status: TypeAlias = Literal["sent", "kept", "refused", "failed"]


class EventResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the event at `index` (from 0): `sent` to the hub; `kept` on disk, from where it will be sent;
    `refused`, for what `error` says; `failed`, and worth trying again. A `duplicate` was accepted before."""

    index: int
    id: str | None = None
    status: Status
    duplicate: bool = False
    error: Violation | None = None


class IntakeResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The results, in order. `position` (partition to sequence number) covers every event that is `sent`; it is absent
    where none is, or where the hub did not say. `failure` is why some failed."""

    results: list[EventResult]
    position: Mapping[str, int] = {}
    failure: str = ""


class ForeignEvent(Violation, frozen=True):
    """The caller may not publish the event, which is about another listener, or for services to say."""


class _Identified(Struct):
    id: str


_named = Decoder(_Identified)


class _Submitted(Struct):
    """An event on its way, or one that was on its way before."""

    event: Event
    outcome: asyncio.Future[Outcome] | Outcome
    duplicate: bool


class EventIntake:
    """Takes events for `publisher`; `now` is what their times are checked against. `owners` knows whose songs are:
    what says of somebody else's song that it is there or gone is refused."""

    def __init__(
        self,
        publisher: EventPublisher,
        ends: HubEnds,
        recent: RecentEvents,
        now: Callable[[], datetime],
        owners: SongOwners | None = None,
    ) -> None:
        self._publisher, self._ends, self._recent, self._now = publisher, ends, recent, now
        self._owners = owners
        self._uploaders = FirstUploaders()

    async def accept(self, bodies: Sequence[bytes], permission: Permission = UNRESTRICTED) -> IntakeResult:
        """Accept what keeps its contract and is the caller's to say, in order, and return when the hub or the disk has
        it."""
        now = self._now()
        read = [_read(body, now, permission) for body in bodies]
        owners = await self._owners_of(each[0] for each in read if isinstance(each, tuple) and is_fact(each[0]))
        begun = [
            each if isinstance(each, ContractViolationError) else await self._begin(*each, owners, permission.subject)
            for each in read
        ]
        waiting = {each.outcome for each in begun if isinstance(each, _Submitted) and not isinstance(each.outcome, str)}
        if waiting:
            # Unlike gather, this leaves the events alone when the caller stops waiting.
            await asyncio.wait(waiting)
        results: list[EventResult] = []
        keys: set[str] = set()
        failure = ""
        for index, (body, each) in enumerate(zip(bodies, begun, strict=True)):
            outcome = _outcome(each.outcome) if isinstance(each, _Submitted) else each
            if isinstance(outcome, ContractViolationError):
                results.append(EventResult(index=index, id=_id(body), status="refused", error=outcome.violation))
            elif isinstance(outcome, Exception):
                failure = str(outcome)
                results.append(EventResult(index=index, id=_id(body), status="failed"))
            elif isinstance(each, _Submitted):
                results.append(EventResult(index=index, id=each.event.id, status=outcome, duplicate=each.duplicate))
                if outcome == "sent":
                    keys.add(each.event.partition_key)
        return IntakeResult(results=results, position=await self._position(keys), failure=failure)

    async def _owners_of(self, facts: Iterable[Event]) -> Mapping[str, str | None]:
        songs = {fact.data.song_id for fact in facts}
        return await self._owners.of(songs) if songs and self._owners is not None else {}

    async def _begin(
        self, event: Event, body: bytes, owners: Mapping[str, str | None], caller: str
    ) -> _Submitted | ContractViolationError | TransientError:
        song_id = event.data.song_id
        owner = owners.get(song_id)
        # Known to have none, not merely unknown because Cosmos DB is away.
        ownerless = owner is None and song_id in owners
        if ownerless:
            owner = self._uploaders.of(song_id)
        try:
            if (known := self._recent.find(event, caller)) is not None:
                return _Submitted(event, known, duplicate=True)
            if (why := stranger(event, owner)) is not None:
                return why
            done = await self._publisher.submit(body, event.partition_key)
        except (ContractViolationError, TransientError) as error:
            return error
        self._recent.remember(event, caller, done)
        if ownerless and isinstance(event.data, SongUploaded):
            self._uploaders.remember(song_id, event.data.user_id, done)
        return _Submitted(event, done, duplicate=False)

    async def _position(self, keys: set[str]) -> Mapping[str, int]:
        if not keys:
            return {}
        partitions = {self._publisher.partition_of(key) for key in keys}
        ends = await self._ends.read()
        return {partition: ends[partition] for partition in sorted(partitions) if partition in ends}


def _read(body: bytes, now: datetime, permission: Permission) -> tuple[Event, bytes] | ContractViolationError:
    try:
        event, said = accepted(body, now)
        check_listener(event, permission)
    except ContractViolationError as why:
        return why
    return event, said


def check_listener(event: Event, permission: Permission) -> None:
    """Raise ContractViolationError with a ForeignEvent unless the caller may publish the event.

    Songs become available or go by uploads, which the ingestion worker checks, and which song a name is says an
    operator: only a service may say so itself.
    """
    if not permission.covers(event.data.user_id):
        raise _foreign("data.userId", event.data.user_id, permission.rule)
    is_for_services = is_fact(event) or isinstance(event.data, NameMatched | NameUnmatched)
    if is_for_services and not permission.for_everybody:
        said = TYPE_NAMES[type(event.data)]
        raise _foreign("type", said, f"a token with the scope {permission.wider} for this type")


def _foreign(field: str, value: str, rule: str) -> ContractViolationError:
    return ContractViolationError(ForeignEvent(field, refuse(field, value, rule).violation.value, rule))


def _outcome(done: asyncio.Future[Outcome] | Outcome) -> Outcome | Exception:
    """What became of an event; raises what is neither the sender's nor the hub's fault."""
    if isinstance(done, str):
        return done
    error = done.exception()
    if error is None:
        return done.result()
    if isinstance(error, ContractViolationError | TransientError | AccessDeniedError):
        return error
    raise error


def _id(body: bytes) -> str | None:
    """The id of what was refused, as far as it has one."""
    try:
        return _named.decode(body).id[:128]
    except PoisonError:
        return None
