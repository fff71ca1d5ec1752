"""A system that holds something of two listeners in every place, and an eraser on it, in this process."""

import asyncio
import hashlib
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

from songline.cloud import cosmos, eventhubs
from songline.cloud.settings import read_eventhubs
from songline.players.tokens.player_token import PLAYER_SCOPES, new_token
from songline.players.tokens.token_store import PlayerTokenStore
from songline.processes.entities import CONTAINERS
from songline.processors.catalog.fold import parse_songs
from songline.processors.catalog.song_store import SongStore
from songline.processors.history.erasure.assembly import ErasureParts, ErasureServices
from songline.processors.history.erasure.capture_progress import CaptureProgress
from songline.processors.history.erasure.eraser import Eraser
from songline.processors.history.erasure.hub_bounds import read_ends
from songline.processors.history.erasure.job import ErasureJob, ErasureStepRunner, HeldRecord, StepResult
from songline.processors.history.erasure.requests import request_erasure
from songline.processors.ingestion.audio.sandbox import Sandbox
from songline.processors.ingestion.audio_store import AudioStore
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.event_sender import EventSender
from songline.processors.library.actions import parse_actions
from songline.processors.library.shelf_store import ShelfStore
from songline.processors.runtime.event_data import record_of
from songline.processors.runtime.hub_record import HubRecord
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.repair.audit import AuditEntry, AuditLog
from songline.schemas.channels import (
    ARCHIVE_BLOBS,
    ATTEMPTS,
    AUDIT,
    DATABASE,
    LIBRARY_SHELVES,
    MUSIC_EVENTS,
    NOW_PLAYING,
    PARKED,
    PLAYER_TOKENS,
    PROJECTIONS,
    SONG_COMMANDS,
    SONGS,
    UNDELIVERED_BLOBS,
)
from songline.schemas.commands import Command, IngestSong, Upload
from songline.schemas.envelope import Event
from songline.schemas.envelope import encode as encode_event
from songline.schemas.erasures import Erasure, SongsChoice
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongRemoved, SongUploaded
from songline.schemas.library.shelf import shelf_key, shelf_of
from songline.schemas.live import LiveEvent, PlaybackStarted
from songline.schemas.live import encode as encode_live
from songline.schemas.parked import parked_event
from songline.schemas.progress import Watermark
from tests.support import audio
from tests.support.ingestion import App
from tests.support.waiting import wait_for_async

NOBODY = "nobody-here"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHELVES = 4


class ErasureSystem:
    """Two listeners' traces on a localcloud with Blob Storage, written by the product's own stores."""

    def __init__(self, app: App, producer: EventHubProducerClient, folder: Path, *, versions: bool = True) -> None:
        self.app, self.producer = app, producer
        self._versions = ((1, ""), (2, "-v2")) if versions else ((1, ""),)
        self.database = app.cosmos.get_database_client(DATABASE)
        audio_store = AudioStore(app.blobs)
        self.runner = CommandRunner(
            app.ingestions, app.catalog, audio_store, EventSender(producer), Sandbox(), folder, self.now
        )
        services = ErasureServices(
            account=app.cosmos,
            blobs=app.blobs,
            bus=app.bus,
            eventhubs=read_eventhubs(app.environment),
            environ=app.environment,
            archive=ARCHIVE_BLOBS,
            behind=CaptureProgress(app.environment).behind,
            audio=audio_store,
            now=self.now,
            runner=self.runner,
        )
        self.parts = ErasureParts(services)
        self.ahead = timedelta()
        self.passed_over = ""
        """A listener whose actions the library worker passes over, as one who is forgotten."""
        self._applied: dict[str, int] = {}

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def request(self, user_id: str, songs: SongsChoice, window: timedelta = timedelta()) -> Erasure:
        return await request_erasure(self.parts.store, user_id, songs, window, "tests", self.now(), secrets.token_hex)

    async def is_captured(self, user_id: str, events: int) -> bool:
        """Whether the archive has so many events of the listener."""
        (archive,) = (place for place in self.parts.places if place.name == "archive")
        return len([record async for record in archive.held(user_id)]) >= events

    async def read(self, erasure_id: str) -> Erasure:
        """The erasure as it is."""
        found = await self.parts.store.read(erasure_id)
        assert found is not None
        return found

    def eraser(self, worker: str, wrap: Callable[[ErasureStepRunner], ErasureStepRunner] = lambda step: step) -> Eraser:
        """An eraser whose steps are wrapped."""
        steps = self.parts.steps(self.producer, timedelta(days=7), patience_s=0)
        return Eraser(
            self.parts.store,
            [*map(wrap, steps)],
            lambda: read_ends(self.producer),
            self.parts.end,
            worker,
            self.now,
            every_s=0.1,
            lease=timedelta(seconds=2),
        )

    async def held(self, user_id: str) -> list[HeldRecord]:
        """All that is held of a listener, in every place."""
        return [record for place in self.parts.places async for record in place.held(user_id)]

    async def tell(self, *events: Event) -> None:
        """Send events to the hub, and have every projection apply what the hub has of them."""
        for event in events:
            batch = await self.producer.create_batch(partition_key=event.partition_key)
            batch.add(EventData(encode_event(event)))
            await self.producer.send_batch(batch)

    async def apply(self) -> None:
        """Apply what is new in the hub to all versions of libraries and of songs, as the workers do."""
        hub = await read_ends(self.producer)
        if all(self._applied.get(partition, -1) >= last for partition, (_, last) in hub.partitions.items()):
            return
        by_partition = {
            partition: [record for record in records if record.position > self._applied.get(partition, -1)]
            for partition, records in (await read_hub(self.app)).items()
        }
        for version, suffix in self._versions:
            shelves = self.database.get_container_client(LIBRARY_SHELVES + suffix)
            songs = self.database.get_container_client(SONGS + suffix)
            store, catalog = ShelfStore(shelves, 1_000), SongStore(songs)
            for partition, records in by_partition.items():
                actions = parse_actions(int(partition), records).actions
                for shelf in range(SHELVES):
                    taken = (action for action in actions if action.user_id != self.passed_over)
                    some = [action for action in taken if shelf_of(action.user_id, SHELVES) == shelf]
                    await store.apply(shelf_key(version, shelf), int(partition), some)
                for song_id, facts in parse_songs(records).facts.items():
                    await catalog.apply(song_id, partition, facts)
            for container, key in ((shelves, "shelf"), (songs, "id")):
                marks = WatermarkStore(container, key)
                await marks.add(by_partition)
                for partition, records in by_partition.items():
                    last = records[-1].position if records else self._applied.get(partition, -1)
                    await marks.advance(partition, Watermark(position=last, through=None))
        self._applied |= {partition: last for partition, (_, last) in hub.partitions.items()}

    async def ingest(self, user_id: str, ingestion_id: str, body: bytes) -> None:
        """Upload a file, as the ingestion worker does it."""
        await self.runner.carry_out(ingest_command(user_id, ingestion_id, body, self.now()), [body])

    async def leave_undelivered(self, user_id: str) -> None:
        """Have a blob of Event Grid's dead letters with a song of theirs, and one of a listener who is nobody here."""
        events = [encode_event(one) for user in (user_id, NOBODY) for one in events_of(user)[3:4]]
        name = f"LOCALCLOUD/SHOP/2026/11/22/12/{user_id[::-1]}.json"
        blobs = self.app.blobs.get_container_client(UNDELIVERED_BLOBS)
        await blobs.upload_blob(name, b"[" + b",".join(events) + b"]", overwrite=True)

    async def leave_traces(self, user_id: str) -> None:
        """Have something of a listener in every place."""
        await self.tell(*events_of(user_id))
        song = audio.song("wav", 0.2, pitch=300 + len(user_id) * 7 + ord(user_id[-1]))
        for kind, body in (("ready", song), ("rejected", b"no audio")):
            await self.ingest(user_id, f"{kind}-{user_id[::-1]}", body)
        await self.app.upload(f"dead-{user_id[::-1]}", b"x", user=user_id, inline=False)
        async with self.app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
            for message in await receiver.receive_messages(1, max_wait_time=60):
                await receiver.dead_letter_message(message, reason="tests")
        body = encode_event(events_of(user_id)[0])
        parked = parked_event("library", MUSIC_EVENTS, "0", ord(user_id[-1]), NOON, body, "tests", "none", NOON)
        await ParkedStore(self.database.get_container_client(PARKED)).park(parked)
        line = AuditEntry(
            id=f"audit-{user_id[::-1]}",
            subject=PARKED,
            at=NOON,
            by="ops",
            action="discard",
            number=1,
            note=f"as {user_id} asks",
        )
        await AuditLog(self.database.get_container_client(AUDIT)).write(line)
        token = new_token(user_id, "phone", PLAYER_SCOPES, NOON, secrets.token_bytes).token
        await PlayerTokenStore(self.database.get_container_client(PLAYER_TOKENS)).add(token)
        await self.leave_undelivered(user_id)
        playback = PlaybackStarted(user_id=user_id, song_id="song-1")
        playing = LiveEvent(id=f"live-{user_id[::-1]}", source="/apps", time=NOON, data=playback)
        async with eventhubs.producer(read_eventhubs(self.app.environment), NOW_PLAYING) as live:
            await live.send_batch([EventData(encode_live(playing))])
        attempts = self.database.get_container_client(ATTEMPTS)
        await attempts.upsert_item({"id": f"tests:{user_id[::-1]}", "error": f"KeyError: '{user_id}'"})


@asynccontextmanager
async def erasure_system(app: App, folder: Path, *, versions: bool = True) -> AsyncIterator[ErasureSystem]:
    """A system with a second version of libraries and songs, unless `versions` says no."""
    if versions:
        await _add_versions(app)
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    async with eventhubs.producer(read_eventhubs(app.environment), MUSIC_EVENTS) as producer:
        yield ErasureSystem(app, producer, folder, versions=versions)


async def _add_versions(app: App) -> None:
    names = (LIBRARY_SHELVES, SONGS)
    second = [msgspec.structs.replace(one, name=f"{one.name}-v2") for one in CONTAINERS if one.name in names]
    await cosmos.ensure(app.cosmos, DATABASE, (*CONTAINERS, *second))
    documents = app.cosmos.get_database_client(DATABASE).get_container_client(PROJECTIONS)
    # A drop that was killed has left its container.
    for projection, state in (("library", "dropped"), (SONGS, "ready")):
        await documents.upsert_item({"id": projection, "version": 1, "shelves": SHELVES})
        await documents.upsert_item(
            {"id": f"{projection}:2", "projection": projection, "version": 2, "state": state, "shelves": SHELVES}
        )


class Before:
    """A step before which something is done, the first time."""

    def __init__(self, step: ErasureStepRunner, what: dict[str, Callable[[], Awaitable[None]]]) -> None:
        self.name = step.name
        self._step, self._what = step, what

    async def run(self, job: ErasureJob) -> StepResult:
        if what := self._what.pop(self.name, None):
            await what()
        return await self._step.run(job)


async def finish(
    system: ErasureSystem, erasure_id: str, look: Callable[[str], Awaitable[None]] | None = None
) -> Erasure:
    """The erasure once it is done: `look` is called with names of workers that follow each other, by default one that
    nothing ends; and projections apply what the hub has."""
    lives = itertools.count()

    async def is_done() -> bool:
        worker = f"worker-{next(lives)}"
        await system.apply()
        await (system.eraser(worker).round() if look is None else look(worker))
        return (await system.read(erasure_id)).state == "done"

    await wait_for_async(is_done, "the erasure to be done", 180)
    return await system.read(erasure_id)


def events_of(user_id: str) -> Sequence[Event]:
    """What a listener did: in two hours, with a song of theirs that stays and one that went."""

    def event(number: int, data: Payload, hours: float = 0) -> Event:
        at = NOON + timedelta(hours=hours, seconds=number)
        return Event(id=f"{user_id}-{number}", source=f"/apps/{user_id}", time=at, data=data)

    played = SongPlayed(
        user_id=user_id, song_id="song-1", played_ms=40_000, duration_ms=50_000, device="x", region="DE"
    )
    uploaded = {
        name: SongUploaded(
            user_id=user_id, song_id=f"{name}-of-{user_id[::-1]}", title="T", artist="A", duration_ms=1_000
        )
        for name in ("kept", "gone")
    }
    gone = SongRemoved(user_id=user_id, song_id=uploaded["gone"].song_id)
    said: tuple[Payload, ...] = (played, played, SongLiked(user_id=user_id, song_id="song-2"), *uploaded.values())
    return [*(event(number, data) for number, data in enumerate(said)), event(9, gone, 3), event(10, played, 5)]


async def read_hub(app: App) -> dict[str, list[HubRecord]]:
    """Every record in the hub, by partition."""
    consumer = eventhubs.consumer(read_eventhubs(app.environment), MUSIC_EVENTS, "$Default")
    async with consumer:
        partitions = await consumer.get_partition_ids()
        read = await asyncio.gather(*(_read(consumer, one) for one in partitions))
    return dict(zip(partitions, read, strict=True))


async def _read(consumer: EventHubConsumerClient, partition: str) -> list[HubRecord]:
    found: list[HubRecord] = []
    state = await consumer.get_partition_properties(partition)
    last = state["last_enqueued_sequence_number"]
    if state["is_empty"]:
        return found
    done = asyncio.Event()

    async def take(_: object, event: EventData | None) -> None:
        if event is not None:
            found.append(record_of(event))
            if found[-1].position >= last:
                done.set()

    reading = asyncio.create_task(consumer.receive(take, partition_id=partition, starting_position="-1"))
    await asyncio.wait_for(done.wait(), 60)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return found


def ingest_command(user_id: str, ingestion_id: str, body: bytes, now: datetime) -> Command:
    """The command for a file that is uploaded."""
    upload = Upload(sha256=hashlib.sha256(body).hexdigest(), size=len(body), content_type="application/octet-stream")
    order = IngestSong(user_id=user_id, upload=upload, file_name=f"{user_id}.wav")
    return Command(id=ingestion_id, source="/tests", time=now, data=order)
