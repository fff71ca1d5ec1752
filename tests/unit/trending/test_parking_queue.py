"""Records are parked without listeners who were forgotten: body and reason have the names of the archive."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from azure.core.exceptions import ServiceRequestError
from msgspec import structs

from songline.processors.runtime.hub_record import HubRecord
from songline.processors.trending.parking_queue import ParkingQueue, UnappliedRecord
from songline.processors.trending.spans import READER
from songline.schemas.channels import MUSIC_EVENTS, TRENDING_PARTIALS
from songline.schemas.parked import BODY_LIMIT_BYTES, ParkedEvent

NOW = datetime(2026, 11, 28, tzinfo=UTC)


class AnnaIsForgotten:
    """Knows of one listener up to position 5, once it was asked to; `fails` of its looks fail."""

    def __init__(self, fails: int = 0) -> None:
        self._fails = fails
        self._is_known = False

    async def refresh(self) -> None:
        self._fails -= 1
        if self._fails >= 0:
            raise ServiceRequestError("away")
        self._is_known = True

    async def renamed(self, partition: str, records: Sequence[HubRecord]) -> Sequence[HubRecord]:
        if not self._is_known or records[0].position > 5:
            return records
        return [structs.replace(one, body=one.body.replace(b"anna", b"forgotten:1")) for one in records]


class Parked:
    def __init__(self) -> None:
        self.found: list[ParkedEvent] = []

    async def park(self, parked: ParkedEvent) -> bool:
        self.found.append(parked)
        return True


def record(position: int, body: bytes = b"anna!") -> UnappliedRecord:
    return UnappliedRecord(position, 1_000, body, "not-an-event", "data.userId: saw 'anna', expected more")


async def test_a_record_is_parked_without_those_who_were_forgotten() -> None:
    parked = Parked()
    queue = ParkingQueue(cast(Any, parked), AnnaIsForgotten(), lambda: NOW)
    for position in (5, 6):
        queue.add(MUSIC_EVENTS, 0, record(position))
    queue.add(TRENDING_PARTIALS, 0, record(5))
    assert await queue.park(MUSIC_EVENTS, 0)
    assert await queue.park(TRENDING_PARTIALS, 0)
    assert [(one.body_beginning, one.body_bytes) for one in parked.found] == [
        (b"forgotten:1!", 12),
        (b"anna!", 5),
        (b"anna!", 5),
    ]
    assert "anna" not in parked.found[0].readers[READER].detail
    assert "forgotten:1" in parked.found[0].readers[READER].detail


async def test_nothing_is_parked_while_it_is_not_known_who_was_forgotten() -> None:
    parked = Parked()
    queue = ParkingQueue(cast(Any, parked), AnnaIsForgotten(fails=1), lambda: NOW)
    queue.add(MUSIC_EVENTS, 0, record(5))
    assert not await queue.park(MUSIC_EVENTS, 0)
    assert not parked.found
    why = queue.last_error
    assert isinstance(why, ServiceRequestError)
    assert await queue.park(MUSIC_EVENTS, 0)
    assert queue.last_error != why
    assert len(parked.found) == 1


async def test_what_is_kept_of_a_large_body_stays_within_its_bound() -> None:
    parked = Parked()
    queue = ParkingQueue(cast(Any, parked), AnnaIsForgotten(), lambda: NOW)
    for position, size in ((1, BODY_LIMIT_BYTES), (2, 2 * BODY_LIMIT_BYTES)):
        queue.add(MUSIC_EVENTS, 0, record(position, b"anna".ljust(size, b".")))
    assert await queue.park(MUSIC_EVENTS, 0)
    for one in parked.found:
        assert len(one.body_beginning) == BODY_LIMIT_BYTES
        assert not one.complete
        assert one.body_beginning.startswith(b"forgotten:1.")
    assert [one.body_bytes for one in parked.found] == [BODY_LIMIT_BYTES + 7, 2 * BODY_LIMIT_BYTES]
