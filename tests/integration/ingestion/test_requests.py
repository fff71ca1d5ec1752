"""What an upload costs the worker: requests for its document, and bytes that travel."""

import hashlib
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.cosmos.aio import ContainerProxy
from azure.storage.blob.aio import BlobClient

from songline.cloud import blobs, cosmos, eventhubs
from songline.cloud.http_transport import unasked
from songline.cloud.settings import read_blobs, read_eventhubs
from songline.processors.ingestion.audio.sandbox import Sandbox
from songline.processors.ingestion.audio_store import AudioStore, StagedDownload
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.event_sender import EventSender
from songline.processors.ingestion.ingestion_store import IngestionStore
from songline.processors.ingestion.transitions import begin
from songline.schemas.channels import DATABASE, INGESTIONS, MUSIC_EVENTS, SONG_BLOBS, UPLOAD_BLOBS
from songline.schemas.commands import Command, IngestSong, Upload
from songline.schemas.errors import PoisonError
from songline.schemas.ingestions import Ingestion, Reason, State, Transition
from tests.support.audio import song
from tests.support.counted import CountedContainer
from tests.support.ingestion import App

NOW = datetime(2026, 11, 22, 14, 0, 0, 123_000, tzinfo=UTC)


@pytest.fixture
def counted(app: App) -> CountedContainer:
    return CountedContainer(cosmos.container(app.cosmos, DATABASE, INGESTIONS))


@pytest.fixture
def store(counted: CountedContainer) -> IngestionStore:
    return IngestionStore(cast("ContainerProxy", counted))


@pytest.fixture
def audio(app: App) -> AudioStore:
    settings = read_blobs(app.environment)
    return AudioStore(app.blobs, lambda blob: blobs.copy_source(settings, blob, datetime.now(UTC)))


@pytest.fixture
async def runner(app: App, store: IngestionStore, audio: AudioStore, tmp_path: Path) -> AsyncIterator[CommandRunner]:
    async with eventhubs.producer(read_eventhubs(app.environment), MUSIC_EVENTS) as producer:
        sender = EventSender(producer)
        yield CommandRunner(store, app.catalog, audio, sender, Sandbox(), tmp_path, lambda: datetime.now(UTC))


def command(ingestion_id: str, content: bytes, *, staged: bool = False, user: str = 'o"7') -> Command:
    upload = Upload(
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        content_type="audio/wav",
        blob=ingestion_id if staged else None,
    )
    data = IngestSong(user_id=user.replace('"', "-"), upload=upload, file_name='a "song".wav')
    return Command(id=ingestion_id, source="/tests", time=NOW, data=data)


def document(order: Command, state: State, reason: Reason | None = None) -> Ingestion:
    assert isinstance(order.data, IngestSong)
    return Ingestion(
        id=order.id,
        user_id=order.data.user_id,
        state=state,
        received_at=NOW,
        updated_at=NOW,
        upload=order.data.upload,
        file_name=order.data.file_name,
        history=tuple(Transition(state=past, at=NOW) for past in dict.fromkeys(("received", state))),
        reason=reason,
    )


@pytest.mark.parametrize("staged", [False, True])
async def test_a_song_costs_the_worker_three_requests_for_its_document(
    app: App, counted: CountedContainer, runner: CommandRunner, store: IngestionStore, staged: bool
) -> None:
    content = song("wav", 0.2 if staged else 0.3)
    order = command(f"thrifty-{staged}", content, staged=staged)
    await store.change(order.id, lambda _: document(order, "queued"))
    if staged:
        await app.blobs.get_blob_client(UPLOAD_BLOBS, order.id).upload_blob(io.BytesIO(content))
    counted.requests.clear()
    ingestion = await runner.carry_out(order, [] if staged else [content])
    assert counted.requests == ["patch_item", "replace_item", "replace_item"]
    assert ingestion is not None
    assert (ingestion.state, ingestion.outbox, ingestion.attempts) == ("ready", (), 1)
    assert [step.state for step in ingestion.history] == ["received", "queued", "processing", "ready"]
    assert await store.read(order.id) == ingestion


REASON = Reason(cause="failed", text="It failed.")


@pytest.mark.parametrize(
    ("state", "reason", "requests"),
    [
        ("received", None, 1),
        ("queued", None, 1),
        ("queued", REASON, 3),
        ("processing", None, 3),
        ("dead", REASON, 3),
        ("rejected", Reason(cause="unfinished", text="It was never finished."), 3),
        ("rejected", REASON, 2),
        ("ready", None, 2),
    ],
)
async def test_a_patch_begins_as_the_pure_step_does(
    counted: CountedContainer, store: IngestionStore, state: State, reason: Reason | None, requests: int
) -> None:
    order = command(f"begun-{state}-{reason and reason.cause}", b"bytes")
    before = document(order, state, reason)
    await store.change(order.id, lambda _: before)
    counted.requests.clear()
    later = NOW + timedelta(minutes=5)
    begun = await store.begin(order, later, unasked)
    assert begun.ingestion == begin(before, order, later)
    assert len(counted.requests) == requests
    assert await store.read(order.id) == begun.ingestion


async def test_a_command_begins_before_its_document_is_there(store: IngestionStore) -> None:
    order = command("early", b"bytes")
    assert (await store.begin(order, NOW, unasked)).ingestion == begin(None, order, NOW)


async def test_a_long_history_is_cut_as_the_pure_step_does(store: IngestionStore) -> None:
    order = command("long", b"bytes")
    steps = tuple(Transition(state="queued", at=NOW + timedelta(seconds=number)) for number in range(50))
    before = msgspec.structs.replace(document(order, "queued"), history=steps)
    await store.change(order.id, lambda _: before)
    assert (await store.begin(order, NOW, unasked)).ingestion == begin(before, order, NOW)


async def test_an_id_that_stands_for_another_file_is_not_begun(store: IngestionStore) -> None:
    order, other = command("taken", b"bytes"), command("taken", b"others")
    await store.change(order.id, lambda _: document(order, "queued"))
    with pytest.raises(PoisonError, match="another file"):
        await store.begin(other, NOW, unasked)
    assert (await store.read("taken")) == document(order, "queued")


async def staged(app: App, audio: AudioStore, name: str, content: bytes) -> StagedDownload:
    await app.blobs.get_blob_client(UPLOAD_BLOBS, name).upload_blob(io.BytesIO(content))
    download = await audio.fetch(name)
    assert b"".join([piece async for piece in download.pieces]) == content
    return download


async def test_a_staged_file_is_copied_by_the_service(app: App, audio: AudioStore, tmp_path: Path) -> None:
    content = b"all of it" * 1_000_000
    download = await staged(app, audio, "copied", content)
    # There is no file: nothing could be sent.
    await audio.keep("1c" * 32, tmp_path / "absent", "audio/flac", download)
    kept = await app.blobs.get_blob_client(SONG_BLOBS, "1c" * 32).download_blob()
    assert (await kept.readall(), kept.properties.content_settings.content_type) == (content, "audio/flac")


@pytest.mark.parametrize("change", ["gone", "other bytes"])
async def test_what_the_service_can_not_copy_is_sent(app: App, audio: AudioStore, tmp_path: Path, change: str) -> None:
    name, sha256 = change.replace(" ", "-"), hashlib.sha256(change.encode()).hexdigest()
    download = await staged(app, audio, name, b"the bytes that were read")
    blob = app.blobs.get_blob_client(UPLOAD_BLOBS, name)
    if change == "gone":
        await blob.delete_blob()
    else:
        await blob.upload_blob(io.BytesIO(b"the bytes of somebody else"), overwrite=True)
    path = tmp_path / "spooled"
    path.write_bytes(b"the bytes that were read")
    await audio.keep(sha256, path, "audio/flac", download)
    kept = await app.blobs.get_blob_client(SONG_BLOBS, sha256).download_blob()
    assert (await kept.readall(), kept.properties.content_settings.content_type) == (path.read_bytes(), "audio/flac")


async def test_what_the_service_refuses_to_copy_is_sent_at_once(
    app: App, audio: AudioStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    look = BlobClient.set_blob_metadata

    async def counted(self: BlobClient, metadata: dict[str, str]) -> object:
        looks.append(self.blob_name)
        return await look(self, metadata)

    async def refused(*_: object, **__: object) -> None:
        # As Azure answers for more than 256 MiB. Azurite copies these too.
        error = ResourceExistsError("CannotVerifyCopySource")
        vars(error)["error_code"] = "CannotVerifyCopySource"
        raise error

    monkeypatch.setattr(BlobClient, "set_blob_metadata", counted)
    monkeypatch.setattr(BlobClient, "start_copy_from_url", refused)
    download = await staged(app, audio, "refused", b"the bytes that were read")
    path = tmp_path / "spooled"
    path.write_bytes(b"the bytes that were read")
    await audio.keep("2d" * 32, path, "audio/flac", download)
    kept = await app.blobs.get_blob_client(SONG_BLOBS, "2d" * 32).download_blob()
    assert (await kept.readall(), kept.properties.content_settings.content_type) == (path.read_bytes(), "audio/flac")
    assert looks == ["2d" * 32], "it is not taken for a song that is there"
