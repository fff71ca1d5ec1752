"""Records on their way out: sent together, and awaited until the hub has them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from msgspec import Struct


class OutgoingRecord(Struct, frozen=True):
    """A record for a hub; `partition` None leaves the choice to the producer."""

    hub: str
    body: bytes | None
    partition: int | None = None
    key: bytes | None = None


async def send(producer: Any, records: Iterable[OutgoingRecord]) -> None:
    """Returns when the hub has acknowledged every record; those of one partition keep their order.

    `producer`: Faust's. Raises what it raises when the hub can't be reached for longer than it retries.
    """
    lanes: dict[tuple[str, int | None], list[OutgoingRecord]] = defaultdict(list)
    for one in records:
        lanes[one.hub, one.partition].append(one)
    await asyncio.gather(*[_send_in_order(producer, lane) for lane in lanes.values()])


async def _send_in_order(producer: Any, records: list[OutgoingRecord]) -> None:
    sent = [await producer.send(one.hub, one.key, one.body, one.partition, None, None) for one in records]
    await asyncio.gather(*sent)


def changes(hub: str, partition: int, values: dict[str, bytes | None]) -> list[OutgoingRecord]:
    """What a table's changelog is told: values by key, None for what is gone."""
    return [OutgoingRecord(hub, value, partition, key.encode()) for key, value in values.items()]


def keep(table: Any, values: dict[str, bytes | None]) -> None:
    """Put values that go to the changelog by hand into the table that Faust recovers from it."""
    for key, value in values.items():
        if value is None:
            table.data.pop(key.encode(), None)
        else:
            table.data[key.encode()] = value
