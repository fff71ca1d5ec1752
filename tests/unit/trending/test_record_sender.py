"""In which order records are sent, and what is not sent behind one that failed."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError

from songline.processors.trending.faust.record_sender import OutgoingRecord, send_records


class Producer:
    """Takes records, and acknowledges each but that of the key `refused`."""

    def __init__(self, refused: bytes | None = None) -> None:
        self._refused = refused
        self.taken: list[tuple[bytes | None, bytes | None]] = []

    async def send(self, _: str, key: bytes | None, body: bytes | None, *__: object) -> Any:
        self.taken.append((key, body))
        return self._acknowledge(key)

    async def _acknowledge(self, key: bytes | None) -> None:
        await asyncio.sleep(0)
        if key == self._refused:
            raise KafkaTimeoutError


RECORDS = [
    OutgoingRecord("hub", b"1", 0, b"piece"),
    OutgoingRecord("hub", None, 0, b"change"),
    OutgoingRecord("hub", b"2", 0, b"head"),
]


async def test_keys_are_deleted_last() -> None:
    producer = Producer()
    await send_records(producer, RECORDS)
    assert producer.taken == [(b"piece", b"1"), (b"head", b"2"), (b"change", None)]


async def test_nothing_is_deleted_while_what_may_hold_it_is_not_acknowledged() -> None:
    producer = Producer(b"piece")
    with pytest.raises(KafkaTimeoutError):
        await send_records(producer, RECORDS)
    assert (b"change", None) not in producer.taken


async def test_nothing_is_deleted_in_another_partition_behind_an_error() -> None:
    """The caller begins again from what is saved, beside which nothing may go on."""
    acknowledged = asyncio.Event()

    class SlowProducer(Producer):
        async def _acknowledge(self, key: bytes | None) -> None:
            if key == b"slow":
                await acknowledged.wait()
            await super()._acknowledge(key)

    producer = SlowProducer(b"piece")
    with pytest.raises(KafkaTimeoutError):
        await send_records(
            producer, [*RECORDS, OutgoingRecord("hub", b"3", 1, b"slow"), OutgoingRecord("hub", None, 1, b"old")]
        )
    acknowledged.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert (b"slow", b"3") in producer.taken
    assert (b"old", None) not in producer.taken
