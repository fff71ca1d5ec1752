"""The records of a table's changelog; those that the table can't have written are removed and parked."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from songline.cloud.concurrency import gather_or_cancel
from songline.processors.trending.faust.batch import ChangeBatch
from songline.processors.trending.faust.record_sender import OutgoingRecord
from songline.processors.trending.parking_queue import ParkingQueue, UnappliedRecord
from songline.processors.trending.state_version import FIRST, StateVersion
from songline.processors.trending.validation import BrokenRecord
from songline.schemas.errors import PoisonError


class ChangelogPlace(Struct, frozen=True):
    """Where a record stands in the changelog."""

    partition: int
    position: int
    logged_ms: int


class Changelog:
    """The records of the Faust `table` whose changelog is `hub`; unusable ones are removed and go to `parking`.

    `check` gives those records of a partition that the table did not write. The table holds the records of `version`
    alone, under the keys that its stages know.
    """

    def __init__(
        self,
        hub: str,
        table: Any,
        parking: ParkingQueue,
        check: Callable[[list[tuple[bytes, bytes]], int], Iterable[BrokenRecord]],
        version: StateVersion = FIRST,
    ) -> None:
        self.hub = hub
        self._version = version
        self._table = table
        self._parking = parking
        self._check = check
        self._places: dict[bytes, ChangelogPlace] = {}
        self._begun: dict[bytes, bytes] = {}
        """What recovery has begun with."""
        self._through: dict[int, int] = {}

    def begin(self, values: Mapping[str, bytes], offsets: Mapping[int, int]) -> None:
        """Hold these values by key, which are not from the changelog, and nothing else, before the records behind these
        offsets of partitions are recovered."""
        self.recover_all()
        self.clear()
        self._begun = {key.encode(): value for key, value in values.items()}
        self._table.data.update(self._begun)
        self._through = dict(offsets)

    def apply(self, events: Iterable[Any]) -> None:
        """Hold what recovered batches of changes say, in the place of the table's own method."""
        for event in events:
            changes: ChangeBatch = event.message.value
            number = event.message.partition
            # Faust counts a fetch as recovered before it is handed over.
            self._through[number] = max(self._through.get(number, -1), changes.end - 1)
            rows = zip(changes.offsets, changes.logged_ms, changes.keys, changes.values, strict=True)
            for offset, logged_ms, key, value in rows:
                self._apply(ChangelogPlace(number, offset, logged_ms), key, value)

    def _apply(self, place: ChangelogPlace, key: bytes | None, value: bytes | None) -> None:
        if not self._version.owns_key(key):
            return
        if key is None:
            # No record of a compacted hub is without one, so it is no record of the table.
            body = value or b""
            record = UnappliedRecord(place.position, place.logged_ms, body, "broken-contract", "a record without a key")
            self._parking.add(self.hub, place.partition, record)
            return
        key = self._version.without_prefix(key)
        if value is None:
            self._table.data.pop(key, None)
            self._places.pop(key, None)
        else:
            self._table.data[key], self._places[key] = value, place

    def outgoing(self, partition: int, values: dict[str, bytes | None]) -> list[OutgoingRecord]:
        """The records for values by key, None for a key that is deleted."""
        return [
            OutgoingRecord(self.hub, value, partition, self._version.with_prefix(key)) for key, value in values.items()
        ]

    def add_unreadable(self, partition: int, position: int, raw: bytes, why: str) -> None:
        """Park a record batch that can't be read at all."""
        self._parking.add(self.hub, partition, UnappliedRecord(position, -1, raw, "not-an-event", why))

    async def prune(self, partitions: set[int]) -> list[bytes]:
        """Remove what these partitions of the changelog hold that the table did not write; return its keys."""
        removed: list[bytes] = []
        held: dict[int, list[tuple[bytes, bytes]]] = {}
        for key, value in list(self._table.data.items()):
            place = self._places.get(key)
            number = _partition(key) if place is None else place.partition
            if number in partitions and place is None and key in self._begun:
                # It was held to the rules before.
                continue
            if number in partitions:
                held.setdefault(number, []).append((key, value))
            else:
                # Of a partition that was held before: its next owner may have deleted it.
                self._table.data.pop(key, None)
        for broken in await gather_or_cancel(asyncio.to_thread(self._broken, *one) for one in held.items()):
            for key, value, why in broken:
                # Partitions that were assigned meanwhile bring records of their own.
                if self._table.data.get(key) is value:
                    self.remove(key, value, why)
                    removed.append(key)
        return removed

    def _broken(self, number: int, records: list[tuple[bytes, bytes]]) -> list[BrokenRecord]:
        return list(self._check(records, number))

    def remove(self, key: Any, value: Any, why: PoisonError) -> None:
        """Remove a record, and have it parked if it came from the changelog."""
        self._table.data.pop(key, None)
        place = self._places.pop(key, None)
        if place is not None:
            body = value if isinstance(value, bytes) else b""
            record = UnappliedRecord(
                place.position, place.logged_ms, body, why.reason, f"key {key!r:.200}: {why.detail}"
            )
            self._parking.add(self.hub, place.partition, record)

    def records(self, prefix: str) -> list[tuple[bytes, bytes]]:
        """The records whose keys begin with `prefix`."""
        start = prefix.encode()
        return [(key, value) for key, value in self._table.data.items() if key.startswith(start)]

    def value(self, key: str) -> bytes:
        """What is held under a key, nothing where it is not held any more."""
        value: bytes = self._table.data.get(key.encode(), b"")
        return value

    def clear(self) -> None:
        """Hold nothing of what was recovered: its owner has made it its state, and saves it without this copy."""
        self._table.data.clear()
        self._places.clear()
        self._begun = {}

    def recovered_through(self, partition: int) -> int:
        """The offset up to which all of a partition is held, since recovery began; -1 where nothing is."""
        return self._through.get(partition, -1)

    def recover_all(self) -> None:
        """Have the next recovery begin at the changelog's first record, also of partitions that are held already."""
        offsets = self._table.app.tables.recovery.active_offsets
        for tp in [tp for tp in offsets if tp.topic == self.hub]:
            del offsets[tp]

    def update(self, values: dict[str, bytes | None]) -> None:
        """Hold values that are sent to the changelog by hand, None for a key that is deleted."""
        for key, value in values.items():
            if value is None:
                self._table.data.pop(key.encode(), None)
            else:
                self._table.data[key.encode()] = value

    async def park(self) -> None:
        """Park what was removed."""
        for partition in self._parking.partitions(self.hub):
            await self._parking.park(self.hub, partition)


def _partition(key: Any) -> int:
    number = key.partition(b"/")[0] if isinstance(key, bytes) else b""
    return int(number) if number.isdigit() and len(number) < 6 else -1
