"""Records to the hubs and to the tables' changelogs: sent together, and awaited until the hub has them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from songline.cloud.concurrency import gather_or_cancel


class OutgoingRecord(Struct, frozen=True):
    """A record for a hub; the producer chooses the partition where `partition` is None."""

    hub: str
    body: bytes | None
    partition: int | None = None
    key: bytes | None = None


async def send_records(producer: Any, records: Iterable[OutgoingRecord]) -> list[Any]:
    """Return the hub's answers once it has acknowledged every record; those of one partition keep their order, but keys
    are deleted last, and once all else is acknowledged.

    `producer` is Faust's. Raises KafkaError when the hub can't be reached for longer than the producer retries.
    """
    by_partition: dict[tuple[str, int | None], list[OutgoingRecord]] = defaultdict(list)
    for one in records:
        by_partition[one.hub, one.partition].append(one)
    answers = await gather_or_cancel(_send_in_order(producer, some) for some in by_partition.values())
    return [one for some in answers for one in some]


async def _send_in_order(producer: Any, records: list[OutgoingRecord]) -> list[Any]:
    answers: list[Any] = []
    # The producer sends on behind a batch that failed, and what is deleted may be held by one of that batch alone.
    for is_deletion in (False, True):
        some = [one for one in records if (one.body is None) == is_deletion]
        sent = [await producer.send(one.hub, one.key, one.body, one.partition, None, None) for one in some]
        answers += await asyncio.gather(*sent)
    return answers
