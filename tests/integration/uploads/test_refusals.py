"""What is not taken in, and what is taken in once."""

import asyncio
import hashlib
import random
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from msgspec import structs

from songline.schemas.channels import SONG_COMMANDS
from songline.schemas.commands import derived_id
from songline.schemas.events import SongRemoved, SongUploaded
from songline.schemas.songs import Song
from tests.support.api import ApiProcess, token
from tests.support.audio import song
from tests.support.ingestion import App, WorkerProcess
from tests.support.waiting import wait_for_async

MB = 1_000_000
AUDIO = {"Content-Type": "audio/wav"}


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


async def commands_of(app: App, ingestion_id: str) -> int:
    """How many commands in the queue are for the ingestion."""
    async with app.bus.get_queue_receiver(SONG_COMMANDS) as receiver:
        found = onward = 0
        # Each answer holds as much as fits, and the messages bring their files.
        while waiting := await receiver.peek_messages(50, sequence_number=onward):
            found += sum(message.message_id == ingestion_id for message in waiting)
            onward = (waiting[-1].sequence_number or 0) + 1
    return found


@pytest.mark.parametrize(
    ("headers", "params", "content", "status", "named"),
    [
        ({"Content-Type": "text/plain", "X-User-Id": "u"}, {}, b"x", 415, "text/plain"),
        ({"X-User-Id": "u"}, {}, b"x", 415, "nothing"),
        ({**AUDIO, "X-User-Id": "u"}, {"userId": "v"}, b"x", 400, "u and v"),
        ({**AUDIO, "X-User-Id": "two words"}, {}, b"x", 400, "userId"),
        ({**AUDIO, "X-User-Id": "u"}, {"genre": "<b>"}, b"x", 400, "genre"),
        ({**AUDIO, "X-User-Id": "u"}, {"title": "x" * 301}, b"x", 400, "title"),
        ({**AUDIO, "X-User-Id": "u", "Idempotency-Key": "two words"}, {}, b"x", 400, "Idempotency-Key"),
        ({"Content-Type": "multipart/form-data", "X-User-Id": "u"}, {}, b"x", 400, "boundary"),
        ({"Content-Type": "multipart/form-data; boundary=b", "X-User-Id": "u"}, {}, b"x", 400, "multipart"),
        ({"Content-Type": "multipart/form-data; boundary=b", "X-User-Id": "u"}, {}, b"--b--\r\n", 400, "file"),
    ],
)
async def test_what_breaks_a_rule_is_named(
    http: httpx.AsyncClient, headers: dict[str, str], params: dict[str, str], content: bytes, status: int, named: str
) -> None:
    answer = await http.post("/v1/songs", headers=headers, params=params, content=content)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.json()["detail"]


FILE = ("file", "no song")
ODD_FORMS = [
    ([("titel", "T"), FILE], {}, "titel", "title, which is the nearest of userId, title, artist, album, genre, file"),
    ([FILE, ("titel", "T")], {}, "titel", "title, which is the nearest of"),
    ([("UserID", "u"), FILE], {}, "UserID", "userId, which is the nearest of"),
    ([("fileName", "a.mp3"), FILE], {}, "fileName", "file, which is the nearest of"),
    ([("files", "x")], {}, "files", "file, which is the nearest of"),
    ([("", "x"), FILE], {}, "", "which is the nearest of"),
    ([("title", "A"), ("title", "B"), FILE], {}, "title", "one field of that name"),
    ([("title", "A"), FILE, ("title", "A")], {}, "title", "one field of that name"),
    ([("userId", "user-odd"), ("userId", "user-odd"), FILE], {}, "userId", "one field of that name"),
    ([FILE], {"title": "T"}, "title", "no parameters beside a form"),
    ([FILE], {"userId": "user-odd"}, "userId", "no parameters beside a form"),
    ([FILE], {"fileName": "a.mp3"}, "fileName", "no parameters beside a form"),
]


@pytest.mark.parametrize(("parts", "params", "field", "rule"), ODD_FORMS)
async def test_nothing_of_a_form_is_left_out_in_silence(
    http: httpx.AsyncClient, parts: list[tuple[str, str]], params: dict[str, str], field: str, rule: str
) -> None:
    content = "".join(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in parts)
    headers = {"Content-Type": "multipart/form-data; boundary=b", "X-User-Id": "user-odd"}
    answer = await http.post("/v1/songs", headers=headers, params=params, content=f"{content}--b--\r\n".encode())
    assert answer.status_code == 400, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["field"] == field
    assert rule in fault["rule"]


async def test_a_form_with_every_field_is_taken(http: httpx.AsyncClient) -> None:
    said = {"userId": "user-whole", "title": "T", "artist": "A", "album": "B", "genre": "rock"}
    answer = await http.post("/v1/songs", data=said, files={"file": ("a.mp3", b"no song")})
    assert answer.status_code == 202, answer.text


async def test_a_file_that_is_too_large_is_refused_before_it_is_sent(app: App, api: ApiProcess) -> None:
    staged = await app.staged()
    url = urlsplit(api.address)
    with socket.create_connection((url.hostname or "", url.port or 0)) as raw:
        head = (
            "POST /v1/songs HTTP/1.1\r\nHost: x\r\nX-User-Id: u\r\nContent-Type: audio/wav\r\nContent-Length: 500000001"
            f"\r\nAuthorization: {api.headers['Authorization']}"
        )
        raw.sendall(head.encode() + b"\r\n\r\n")
        assert b" 413 " in await asyncio.to_thread(raw.recv, 100)
    assert await app.staged() == staged


async def test_the_same_key_is_the_same_upload(app: App, http: httpx.AsyncClient) -> None:
    headers = {**AUDIO, "X-User-Id": "user-key", "Idempotency-Key": "k-1"}
    content = noise(5 * MB, 2)
    first, second = await asyncio.gather(
        http.post("/v1/songs", headers=headers, content=content),
        http.post("/v1/songs", headers=headers, content=content),
    )
    third = await http.post("/v1/songs", headers=headers, content=content)
    assert [first.status_code, second.status_code, third.status_code] == [202, 202, 202]
    (ingestion_id,) = {answer.json()["id"] for answer in (first, second, third)}
    assert await commands_of(app, ingestion_id) == 1
    other = await http.post("/v1/songs", headers=headers, content=content[:-1])
    assert other.status_code == 422, other.text
    renamed = await http.post("/v1/songs", headers=headers, params={"title": "New"}, content=content)
    assert renamed.status_code == 422
    someone = await http.post("/v1/songs", headers={**headers, "X-User-Id": "user-else"}, content=content)
    assert someone.json()["id"] != ingestion_id
    ingestion = await app.ingestions.read(ingestion_id)
    assert ingestion is not None
    assert ingestion.upload.sha256 == hashlib.sha256(content).hexdigest()
    # Its uploader is forgotten, and what they upload from now on is another's.
    name = f"forgotten:{'0' * 32}"
    await app.ingestions.change(ingestion_id, lambda known: structs.replace(known or ingestion, user_id=name))
    anew = await http.post("/v1/songs", headers=headers, content=content)
    assert anew.status_code == 422
    assert "its uploader was forgotten since: expected a new key" in anew.json()["detail"]


async def test_another_file_under_a_used_key_leaves_the_staged_one_as_it_is(app: App, http: httpx.AsyncClient) -> None:
    headers = {**AUDIO, "X-User-Id": "user-staged", "Idempotency-Key": "k-2"}
    content = noise(20 * MB, 3)
    first = await http.post("/v1/songs", headers=headers, content=content)
    other = await http.post("/v1/songs", headers=headers, content=noise(20 * MB, 4))
    again = await http.post("/v1/songs", headers=headers, content=content)
    assert [first.status_code, other.status_code, again.status_code] == [202, 422, 202]
    blob = app.blobs.get_blob_client("uploads", first.json()["id"])
    assert await (await blob.download_blob()).readall() == content


async def test_an_upload_that_the_api_died_with_is_taken_up_again_by_a_retry(app: App, fresh_api: ApiProcess) -> None:
    """Killed at some moment before or after the answer; the retry gets the one ingestion, with one song."""
    content = noise(MB, 5)
    chance = random.Random(7)
    for turn in range(3):
        headers = {**AUDIO, "X-User-Id": "user-crash", "Idempotency-Key": f"crash-{turn}"}
        async with fresh_api.client() as http:
            sending = asyncio.create_task(http.post("/v1/songs", headers=headers, content=content))
            await asyncio.sleep(chance.uniform(0.01, 0.15))
            fresh_api.kill()
            (outcome,) = await asyncio.gather(sending, return_exceptions=True)
        assert isinstance(outcome, httpx.HTTPError | httpx.Response)
        fresh_api.start()
        async with fresh_api.client() as http:
            retry = await http.post("/v1/songs", headers=headers, content=content)
        assert retry.status_code == 202, retry.text
        if isinstance(outcome, httpx.Response):
            assert outcome.json()["id"] == retry.json()["id"]
        assert await commands_of(app, retry.json()["id"]) == 1


@pytest.fixture
def narrow(app: App, tmp_path: Path) -> Iterator[ApiProcess]:
    """An API that takes one upload at a time."""
    api = ApiProcess({**app.environment, "SONGLINE_UPLOADS": "1"}, tmp_path / "narrow.log").start()
    yield api
    api.kill()


async def test_one_upload_too_many_is_asked_to_come_again_and_a_broken_one_leaves_nothing(
    app: App, narrow: ApiProcess
) -> None:
    staged = await app.staged()
    sent, broken = asyncio.Event(), asyncio.Event()

    async def halting() -> AsyncIterator[bytes]:
        yield noise(9 * MB, 6)
        sent.set()
        await broken.wait()
        raise ConnectionAbortedError

    headers = {**AUDIO, "X-User-Id": "user-narrow"}
    async with narrow.client() as http:
        slow = asyncio.create_task(http.post("/v1/songs", headers=headers, content=halting()))
        await sent.wait()

        async def status(wanted: int) -> httpx.Response | None:
            answer = await http.post("/v1/songs", headers=headers, content=b"x")
            return answer if answer.status_code == wanted else None

        answer = await wait_for_async(lambda: status(503), "the API to be full")
        assert answer is not None
        assert answer.headers["retry-after"] == "2"
        assert answer.json()["title"] == "Too many uploads"
        broken.set()
        with pytest.raises(ConnectionAbortedError):
            await slow
        await wait_for_async(lambda: status(202), "the slot to be free again")
    assert await app.staged() == staged
    blob = app.blobs.get_container_client("uploads")
    assert [found.name async for found in blob.list_blobs(include=["uncommittedblobs"])] == staged
    assert "Traceback" not in narrow.said


async def test_without_its_services_the_api_says_when_to_try_again(app: App, tmp_path: Path, free_port: int) -> None:
    nowhere = f"127.0.0.1:{free_port}"
    key = "SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
    environment = {
        **app.environment,
        "AZURE_SERVICEBUS_CONNECTIONSTRING": f"Endpoint=sb://{nowhere};{key}",
    }
    api = ApiProcess(environment, tmp_path / "alone.log").start()
    try:
        async with api.client() as http:
            answer = await http.post("/v1/songs", headers={**AUDIO, "X-User-Id": "u"}, content=b"x")
    finally:
        api.kill()
    assert answer.status_code == 503, answer.text
    assert answer.headers["retry-after"] == "10"


async def test_a_song_that_is_in_the_catalog_only_can_be_removed_too(
    app: App, http: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    theirs = {"X-User-Id": "artist-1"}
    now = datetime.now(UTC)
    announced = Song(id="announced", user_id="artist-1", title="T", artist="A", duration_ms=1000, uploaded_at=now)
    await app.announce(announced)
    assert (await http.delete("/v1/songs/announced", headers={"X-User-Id": "user-1"})).status_code == 403
    answer = await http.delete("/v1/songs/announced", headers=theirs)
    assert (answer.status_code, answer.headers["location"]) == (202, "/v1/songs/announced")

    async def told() -> list[str]:
        removed = SongRemoved(user_id="artist-1", song_id="announced")
        return [event.id for event in await app.events() if event.data == removed]

    assert await wait_for_async(told, "the event") == [derived_id("song-removed", "announced")]


async def test_only_its_uploader_removes_a_song(app: App, http: httpx.AsyncClient, worker: WorkerProcess) -> None:
    mine = {"X-User-Id": "user-mine"}
    sent = await http.post("/v1/songs", headers={**AUDIO, **mine}, content=song("wav", 0.5))
    song_id = sent.json()["id"]
    await app.settled(song_id)
    refusals = [
        await http.delete("/v1/songs/nobodys", headers=mine),
        await http.delete("/v1/songs/no%20id", headers=mine),
        await http.delete(f"/v1/songs/{song_id}", headers={"X-User-Id": "user-other"}),
        await http.delete(f"/v1/songs/{song_id}"),
    ]
    assert [answer.status_code for answer in refusals] == [404, 404, 403, 403]
    for _ in range(2):
        answer = await http.delete(f"/v1/songs/{song_id}", headers=mine)
        assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/ingestions/{song_id}")

    async def told() -> bool:
        # Two removals side by side may say it twice, as the same event.
        events = {event.id: type(event.data) for event in await app.events() if event.data.song_id == song_id}
        return list(events.values()) == [SongUploaded, SongRemoved]

    await wait_for_async(told, "both events")


async def test_an_upload_is_the_subjects_and_seen_by_nobody_else(app: App, api: ApiProcess) -> None:
    def bearer(user: str | None, *scopes: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token(app.environment, user, scopes)}"}

    ada, grace, admin = bearer("ada"), bearer("grace"), bearer(None, "admin")
    async with httpx.AsyncClient(base_url=api.address, timeout=60, trust_env=False) as http:
        made = await http.post("/v1/songs", content=b"no song", headers={**ada, **AUDIO})
        assert made.status_code == 202, made.text
        where = made.headers["location"]
        assert (await http.get(where, headers=ada)).json()["userId"] == "ada"
        for path in (where, f"{where}/events"):
            assert (await http.get(path, headers=grace)).status_code == 403
        as_other = {**ada, **AUDIO, "X-User-Id": "grace"}
        refused = await http.post("/v1/songs", content=b"no song", headers=as_other)
        assert refused.status_code == 403, refused.text
        form = await http.post("/v1/songs", data={"userId": "grace"}, files={"file": b"x"}, headers=ada)
        assert form.status_code == 403, form.text
        # Who may upload for anybody says for whom before the file, or it would go to the token's subject.
        behind = await http.post("/v1/songs", files={"file": b"x", "userId": (None, b"ada")}, headers=admin)
        assert behind.status_code == 400, behind.text
        assert "before the file" in behind.text
        listed = (await http.get("/v1/ingestions", headers=grace)).json()["ingestions"]
        assert {one["userId"] for one in listed} <= {"grace"}
        mine = (await http.get("/v1/ingestions?state=queued", headers=ada)).json()["ingestions"]
        assert {one["userId"] for one in mine} <= {"ada"}
        everybodys = (await http.get("/v1/ingestions", headers=admin)).json()["ingestions"]
        assert made.json()["id"] in {one["id"] for one in everybodys}
        removal = await http.delete("/v1/songs/song-1", headers={**ada, "X-User-Id": "grace"})
        assert removal.status_code == 403
