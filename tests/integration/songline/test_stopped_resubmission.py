"""An operator's command that is stopped before it sends a parked record again."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

from azure.cosmos.aio import ContainerProxy

from songline.cloud import cosmos
from songline.cloud.settings import read_eventhubs
from songline.processes.entities import CONTAINERS
from songline.processors.runtime.parked_store import ParkedStore
from songline.repair.audit import AuditEntry, AuditLog
from songline.repair.parked_records import ParkedRecords, ParkedSelection
from songline.schemas.channels import AUDIT, DATABASE, MUSIC_EVENTS, PARKED
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongLiked
from songline.schemas.parked import parked_event
from tests.support.ingestion import App

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
