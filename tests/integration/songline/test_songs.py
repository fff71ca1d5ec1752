"""`songline songs` and `songline ingestion` against a read API that serves."""

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime

import httpx
import msgspec
import pytest
from azure.cosmos.aio import CosmosClient
from click.testing import CliRunner

from songline.cli import main
from songline.cloud import cosmos
from songline.processes.entities import CONTAINERS
from songline.processors.catalog.song_store import SongStore
from songline.schemas.channels import DATABASE, INGESTIONS, SONGS
from songline.schemas.commands import Upload
from songline.schemas.ingestions import Ingestion, Transition
from songline.schemas.songs import Song
from tests.support.catalog import stated
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
async def database(localcloud: LocalCloud) -> AsyncIterator[CosmosClient]:
    async with cosmos.client(localcloud.settings().cosmos) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        yield client


@pytest.fixture
def api(localcloud: LocalCloud, database: CosmosClient, free_port: int) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "projections", "--port", str(free_port)], env=localcloud.environment
    )
    try:
        wait_for(_answers(f"http://127.0.0.1:{free_port}/health/ready"), "the API to be ready")
        yield f"http://127.0.0.1:{free_port}"
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            return httpx.get(url, timeout=60).status_code == 200
        except httpx.TransportError:
            return False

    return answers


async def test_songs_and_ingestions_are_shown(database: CosmosClient, api: str) -> None:
    song = Song(id="s-1", user_id="u", title="Dusk", artist="Nova Reed", duration_ms=1_000, uploaded_at=NOON)
    songs = SongStore(cosmos.container(database, DATABASE, SONGS))
    await songs.apply("s-1", "0", [stated(song)])
    history = (Transition(state="received", at=NOON), Transition(state="ready", at=NOON))
    ingestion = Ingestion(
        id="s-1",
        user_id="u",
        state="ready",
        received_at=NOON,
        updated_at=NOON,
        upload=Upload(sha256="ab" * 32, size=5, content_type="audio/wav"),
        history=history,
        song_id="s-1",
    )
    await cosmos.container(database, DATABASE, INGESTIONS).create_item(msgspec.to_builtins(ingestion))

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, [*arguments, "--api", api])
        return done.exit_code, done.output

    code, text = run("songs", "dus", "--artist", "nova reed")
    assert (code, "Dusk" in text) == (0, True), text
    code, text = run("songs", "--json", "--genre", "indie")
    assert (code, json.loads(text)["songs"]) == (0, [])
    code, text = run("songs", "!!!")
    assert (code, "no songs" in text) == (0, True), text
    code, text = run("songs", "a b c d e f g h i")
    assert (code, "1 to 8 words" in text) == (2, True), text
    code, text = run("ingestion", "s-1")
    assert (code, "12:00:00  ready" in text) == (0, True), text
    code, text = run("ingestion", "s-1", "--follow")
    assert (code, re.findall(r"  (\w+)$", text, re.MULTILINE)) == (0, ["received", "ready"])
    code, text = run("ingestion", "../charts", "--follow")
    assert code == 2, text
    code, text = run("ingestion", "never", "--follow")
    assert (code, "There is no ingestion never" in text) == (1, True), text
