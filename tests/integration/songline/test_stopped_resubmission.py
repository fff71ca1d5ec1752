"""An operator's command that is stopped before it sends a parked record, or a dead letter, again."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

import pytest
from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos
from songline.cloud.settings import read_eventhubs
from songline.processes.entities import CONTAINERS
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.runtime.parked_store import ParkedStore
from songline.repair.audit import AuditEntry, AuditLog
from songline.repair.dead_letters import LOST, DeadLetters
from songline.repair.parked_records import ParkedRecords, ParkedSelection
from songline.schemas.channels import AUDIT, DATABASE, MUSIC_EVENTS, PARKED, SONG_COMMANDS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongLiked
from songline.schemas.parked import parked_event
from tests.support.ingestion import App
from tests.support.localcloud import LocalCloud

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class StoppedAudit(AuditLog):
    """An audit log whose process is stopped once it has written, while something else happens."""

    def __init__(self, container: ContainerProxy, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(container)
        self._meanwhile = meanwhile

    async def write(self, line: AuditEntry) -> None:
        await super().write(line)
        await self._meanwhile()


async def test_a_record_whose_listener_was_erased_meanwhile_is_not_sent_again(app: App) -> None:
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    liked = Event(id="like-1", source="/tests", time=NOON, data=SongLiked(user_id="gone-1", song_id="song-1"))
    record = parked_event("library", MUSIC_EVENTS, "0", 7, NOON, encode(liked), "tests", "none", NOON)
    container = cosmos.container(app.cosmos, DATABASE, PARKED)
    store = ParkedStore(container)
    await store.park(record)

    async def erase() -> None:
        await container.delete_item(record.id, record.id)

    audit = StoppedAudit(cosmos.container(app.cosmos, DATABASE, AUDIT), erase)
    hubs = read_eventhubs(app.environment)
    records = ParkedRecords(store, hubs, audit, lambda: datetime.now(UTC), lambda: uuid4().hex, "tests")
    entries = await records.entries(ParkedSelection(ids=(record.id,)))
    outcomes = [why async for _, why in records.resubmit(entries, None)]
    assert outcomes == ["it is not there any more"]
    assert not [event for event in await app.events() if event.data.user_id == "gone-1"]


@pytest.mark.parametrize("what", ["resubmit", "discard"])
async def test_a_letter_whose_lock_has_ended_is_left_to_who_has_it(
    app: App, song_cloud: LocalCloud, what: Literal["resubmit", "discard"]
) -> None:
    """A command may be stopped for long: the letter was sent again meanwhile, or its uploader erased."""
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    await app.upload(f"late-{what}", b"x", inline=False)
    async with app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
        (one,) = await receiver.receive_messages(1, max_wait_time=60)
        await receiver.dead_letter_message(one, reason="for-a-test")
    audit = AuditLog(cosmos.container(app.cosmos, DATABASE, AUDIT))
    command = DeadLetters(
        app.bus, app.ingestions, AudioStore(app.blobs), audit, lambda: datetime.now(UTC), lambda: uuid4().hex, "tests"
    )
    (letter,), staged = await command.read(), await app.staged()
    change = command.resubmit if what == "resubmit" else command.discard
    again = {"service": "servicebus", "operation": "receive", "kind": "duplicate", "count": 1}
    with song_cloud.faults(again) as fired:
        outcomes = [why async for _, why in change({letter.number}, None)]
        assert fired() == [1]
    assert outcomes == [LOST]
    assert await app.staged() == staged != []
    assert [one.number for one in await command.read()] == [letter.number]
    async with app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
        assert not await receiver.receive_messages(1, max_wait_time=1)
    assert [why async for _, why in command.discard({letter.number}, None)] == [""]
