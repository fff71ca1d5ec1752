"""Songs in over HTTP, as apps and `curl` send them."""

import hashlib
import os
import random
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.api import ApiProcess
from tests.support.audio import song
from tests.support.ingestion import App, WorkerProcess

MB = 1_000_000


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


async def pieces(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def test_a_form_becomes_a_song(app: App, http: httpx.AsyncClient, worker: WorkerProcess) -> None:
    content = song("mp3", 1.0, tags={"title": "of the file", "artist": "Nova Reed"})
    answer = await http.post(
        "/v1/songs",
        data={"userId": "user-form", "title": "Paper Lanterns", "genre": "Indie"},
        files={"file": ('Straße nach "Süden".mp3', content, "audio/mpeg")},
    )
    assert answer.status_code == 202, answer.text
    receipt = answer.json()
    assert receipt == {"id": receipt["id"], "state": "queued", "href": f"/v1/ingestions/{receipt['id']}"}
    assert answer.headers["location"] == receipt["href"]
    ingestion = await app.settled(receipt["id"])
    assert (ingestion.state, ingestion.user_id) == ("ready", "user-form")
    assert ingestion.file_name == 'Straße nach "Süden".mp3'
    assert ingestion.audio is not None
    assert (ingestion.audio.title, ingestion.audio.artist, ingestion.audio.genre) == (
        "Paper Lanterns",
        "Nova Reed",
        "indie",
    )
    assert [step.state for step in ingestion.history if step.state != "queued"] == ["received", "processing", "ready"]
    assert await app.song(hashlib.sha256(content).hexdigest()) == content


async def test_a_body_becomes_a_song_whether_its_length_is_known_or_not(
    app: App, http: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    for known, content in ((True, song("flac", 1.0, pitch=311)), (False, song("wav", 60.0, pitch=313))):
        answer = await http.post(
            "/v1/songs",
            params={"title": "Dusk", "fileName": "C:\\music\\dusk.flac"},
            headers={"X-User-Id": "user-body", "Content-Type": "audio/flac"},
            content=content if known else pieces(content),
        )
        assert answer.status_code == 202, answer.text
        ingestion = await app.settled(answer.json()["id"])
        assert (ingestion.state, ingestion.file_name) == ("ready", "dusk.flac")
        assert (ingestion.upload.blob is None) is known
        assert await app.song(hashlib.sha256(content).hexdigest()) == content


# The largest file that is taken has 500 MB; it is sent by `make test-all`.
@pytest.mark.parametrize("size_mb", [120, 500])
async def test_a_file_that_no_message_can_carry_is_staged_and_lets_the_api_stay_small(
    app: App, fresh_api: ApiProcess, size_mb: int
) -> None:
    headers = {"X-User-Id": "user-large", "Content-Type": "audio/wav"}
    block = os.urandom(MB)
    digest = hashlib.sha256()

    async def large() -> AsyncIterator[bytes]:
        for number in range(size_mb):
            piece = block[number:] + block[:number]
            digest.update(piece)
            yield piece

    async with fresh_api.client() as http:
        for number in range(3):
            assert (await http.post("/v1/songs", headers=headers, content=noise(1000, number))).status_code == 202
        before = fresh_api.memory("VmRSS")
        answer = await http.post("/v1/songs", headers=headers, content=large())
    assert answer.status_code == 202, answer.text
    grown = fresh_api.memory("VmHWM") - before
    assert grown < 32 * MB, f"{size_mb} MB made the API grow by {grown / MB:.1f} MB"
    ingestion = await app.ingestions.read(answer.json()["id"])
    assert ingestion is not None
    assert (ingestion.upload.size, ingestion.upload.sha256) == (size_mb * MB, digest.hexdigest())
    assert ingestion.upload.blob == ingestion.id
    assert ingestion.id in await app.staged()
