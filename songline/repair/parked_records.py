"""Lists, resubmits and discards parked records: those that a reader of a hub could not apply."""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime, timedelta

import msgspec
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient
from msgspec import Raw, Struct

from songline.cloud import eventhubs
from songline.cloud.settings import EventHubsSettings
from songline.processors.runtime.parked_store import ParkedStore
from songline.repair.audit import AuditEntry, AuditLog
from songline.repair.parked_bodies import BodyGoneError, ParkedBodies
from songline.schemas.channels import MUSIC_EVENTS, PARKED
from songline.schemas.decoding import Decoder
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from songline.schemas.parked import ParkedAction, ParkedEntry, ParkedEvent, ParkedState, entry_of

RESUBMIT_OF = "resubmitof"
RESUBMIT_FOR = "resubmitfor"


class ParkedSelection(Struct, frozen=True, kw_only=True):
    """A selection of records: those with one of `ids`, or, without ids, those that match all other fields.

    None matches any value.
    """

    ids: tuple[str, ...] = ()
    reason: str | None = None
    reader: str | None = None
    older_than: timedelta | None = None
    state: ParkedState | None = "parked"

    def has(self, entry: ParkedEntry, now: datetime) -> bool:
        """Whether the record is selected. `ids` select a record in any state."""
        if self.ids:
            return entry.id in self.ids
        return (
            self.state in (None, entry.state)
            and self.reason in (None, *entry.reasons)
            and self.reader in (None, *entry.readers)
            and (self.older_than is None or now - entry.parked_at >= self.older_than)
        )


class NotResubmittedError(Exception):
    """A record can't be sent again, for the reason in the message. It stays parked."""


class ParkedRecords:
    """Lists parked records, and resubmits or discards them.

    Each change writes an audit entry first. Each change may be repeated after a crash. Methods raise AzureError (of
    azure.core), HubAwayError and EventHubError.
    """

    def __init__(
        self,
        store: ParkedStore,
        hubs: EventHubsSettings,
        audit: AuditLog,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        by: str,
    ) -> None:
        self._store, self._hubs, self._audit = store, hubs, audit
        self._now, self._new_id, self._by = now, new_id, by
        self._bodies = ParkedBodies(hubs)

    async def entries(self, chosen: ParkedSelection) -> list[ParkedEntry]:
        """The selected records, oldest first."""
        now = self._now()
        return [entry async for entry in self._store.entries() if chosen.has(entry, now)]

    async def show(self, parked_id: str) -> tuple[ParkedEntry, bytes, str] | None:
        """The record, its body, and why that is incomplete (empty if it is whole); None if there is no such record."""
        found = await self._store.read(parked_id)
        if found is None:
            return None
        parked, _ = found
        try:
            return entry_of(parked), await self._bodies.read(parked), ""
        except BodyGoneError as gone:
            return entry_of(parked), parked.body_beginning, str(gone)

    async def resubmit(
        self, entries: Iterable[ParkedEntry], note: str | None
    ) -> AsyncIterator[tuple[ParkedEntry, str]]:
        """Send records again to the readers that parked them.

        Yields each with the reason why it was not sent, empty if it was.
        """
        async with eventhubs.producer(self._hubs, MUSIC_EVENTS) as producer:
            for entry in entries:
                try:
                    await self._resubmit(producer, entry, note)
                except NotResubmittedError as refused:
                    yield entry, str(refused)
                else:
                    yield entry, ""

    async def discard(self, entries: Iterable[ParkedEntry], note: str | None) -> AsyncIterator[ParkedEntry]:
        """Discard records, and yield each. Their documents stay, so that a reader doesn't park them again."""
        for entry in entries:
            await self._audit.write(self._line("discard", entry, (), note))
            action = ParkedAction(action="discarded", at=self._now(), by=self._by, note=note)
            if await self._store.record(entry.id, action):
                yield entry

    async def _resubmit(self, producer: EventHubProducerClient, entry: ParkedEntry, note: str | None) -> None:
        found = await self._store.read(entry.id)
        if found is None:
            raise NotResubmittedError("it is not there any more")
        parked, _ = found
        event = again(parked, await self._body(parked))
        readers = tuple(sorted(parked.readers))
        batch = await producer.create_batch(partition_id=await _partition(producer, parked))
        try:
            batch.add(EventData(event))
        except ValueError as error:
            raise NotResubmittedError(f"it is too large for the hub now: {error}") from None
        await self._audit.write(self._line("resubmit", entry, readers, note))
        # Its listener may have been erased since it was read: it may have taken long, or the process was stopped.
        if await self._store.read(entry.id) is None:
            raise NotResubmittedError("it is not there any more")
        await producer.send_batch(batch)
        action = ParkedAction(action="resubmitted", at=self._now(), by=self._by, readers=readers, note=note)
        await self._store.record(parked.id, action)

    async def _body(self, parked: ParkedEvent) -> bytes:
        if parked.hub != MUSIC_EVENTS:
            text = f"it is a record of {parked.hub}, which workers derive from {MUSIC_EVENTS}"
            raise NotResubmittedError(f"{text}: they publish it again by themselves; discard it")
        try:
            return await self._bodies.read(parked)
        except BodyGoneError as gone:
            raise NotResubmittedError(str(gone)) from None

    def _line(self, action: str, entry: ParkedEntry, readers: tuple[str, ...], note: str | None) -> AuditEntry:
        return AuditEntry(
            id=self._new_id(),
            subject=PARKED,
            at=self._now(),
            by=self._by,
            action=action,
            number=entry.position,
            parked_id=entry.id,
            died_of=", ".join(entry.reasons),
            readers=readers,
            note=note,
        )


_attributes: Decoder[dict[str, Raw]] = Decoder(dict[str, Raw])


def again(parked: ParkedEvent, body: bytes) -> bytes:
    """The event in `body` with the attributes `resubmitof` and `resubmitfor`, otherwise unchanged.

    Raises NotResubmittedError if it still breaks the contract.
    """
    try:
        decode(body)
    except PoisonError as poison:
        raise NotResubmittedError(f"it still breaks the contract: {poison}") from None
    attributes = _attributes.decode(body)
    readers = ",".join(sorted(parked.readers))
    attributes[RESUBMIT_OF] = Raw(msgspec.json.encode(parked.id))
    attributes[RESUBMIT_FOR] = Raw(msgspec.json.encode(readers))
    return msgspec.json.encode(attributes)


async def _partition(producer: EventHubProducerClient, parked: ParkedEvent) -> str:
    """The partition that the record was in, which has the other events of its listener."""
    partitions = await producer.get_partition_ids()
    if parked.partition not in partitions:
        raise NotResubmittedError(f"hub {parked.hub} has no partition {parked.partition} any more")
    return parked.partition
