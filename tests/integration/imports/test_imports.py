"""`songline import`, as it is typed: files go over the API and the broker to the worker, and come out as events."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from songline.api_client import decoded
from songline.cli import main
from songline.cloud import cosmos
from songline.processes.entities import CONTAINERS
from songline.processors.catalog.fold import document_of
from songline.processors.imports.history_file import read_history
from songline.processors.imports.rows import HistoryListen, ReadOptions
from songline.processors.library.actions import parse_actions
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.channels import DATABASE, NAMES, SONGS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import ListenImported
from songline.schemas.imports import ImportAnswer
from songline.schemas.library.fold import FoldedLibrary, fold_actions
from songline.schemas.song_names import song_name
from songline.schemas.songs import Song
from tests.support.api import ApiProcess
from tests.support.catalog import stated
from tests.support.histories import Heard, lastfm_bare, lastfm_table, listenbrainz, rockbox, spotify
from tests.support.ingestion import App, WorkerProcess
from tests.support.library import LibraryWorker
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

BEGAN_MS = 1_616_432_101_000
STEP_MS = 240_000


def heard(title: str) -> list[Heard]:
    """Twenty listens, of five songs."""
    return [
        Heard(BEGAN_MS + number * STEP_MS, f"{title} {number % 5}", f"Artist {number % 3}", "Album")
        for number in range(20)
    ]


HISTORY = heard("Song")
UNKNOWN = heard("Tune")
"""Listens of which no test puts a song into the catalog."""


@pytest.fixture(scope="module")
def api(song_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    api = ApiProcess(song_cloud.environment, tmp_path_factory.mktemp("api") / "api.log").start()
    yield api
    api.kill()


@pytest.fixture(scope="module")
def worker(song_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(song_cloud.environment, tmp_path_factory.mktemp("worker") / "worker.log")
    yield worker
    worker.kill()


@pytest.fixture
async def system(app: App, api: ApiProcess, worker: WorkerProcess) -> App:
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    if not worker.running:
        worker.start()
    return app


@pytest.fixture
def environment(system: App, api: ApiProcess, tmp_path: Path) -> Mapping[str, str]:
    mine = {"SONGLINE_DATA": str(tmp_path / "data"), "SONGLINE_API": api.address, "COLUMNS": "200", "TZ": "Asia/Tokyo"}
    return {**os.environ, **system.environment, **mine}


async def songline(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "songline", *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


async def imported(environment: Mapping[str, str], user: str, *arguments: str) -> list[ImportAnswer]:
    done = await songline(environment, "import", "--user", user, "--json", *arguments)
    assert done.returncode == 0, done
    return [answer_in(line) for line in done.stdout.splitlines()]


def answer_in(line: str) -> ImportAnswer:
    return decoded(line, ImportAnswer)


async def events_of(app: App, user: str) -> list[Event]:
    return [event for event in await app.events() if event.data.user_id == user]


def library(events: list[Event]) -> FoldedLibrary:
    records = [HubRecord(number, datetime.now(UTC), encode(event)) for number, event in enumerate(events)]
    return fold_actions(parse_actions(0, records).actions)


def file(folder: Path, name: str, data: bytes) -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return str(folder / name)


def adds_up(answer: ImportAnswer) -> bool:
    counts = answer.counts
    return (
        counts.read == counts.taken + counts.known + sum(counts.skipped.values()) == sum(counts.formats.values())
        and counts.taken == counts.matched + counts.by_name
    )


async def test_histories_come_along_once_whatever_they_overlap(
    system: App, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Two files overlap; the second is imported twice; one of them is taken back, and the other's listens stay."""
    user = "imports-1"
    song = Song(
        id="imports-song",
        user_id="owner",
        title="SONG 1",
        artist="Ártist 1",
        duration_ms=200_000,
        uploaded_at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    songs = cosmos.container(system.cosmos, DATABASE, SONGS)
    await songs.upsert_item(msgspec.to_builtins(document_of(song.id, {(0, song.user_id): stated(song)})))
    first = file(tmp_path / "in", "a", listenbrainz(HISTORY[:12]))
    second = file(tmp_path / "in", "b", lastfm_table(HISTORY[8:] + HISTORY[8:9]))
    (dry,) = await imported(environment, user, "--dry-run", first)
    assert (dry.state, dry.dry_run, dry.counts.taken) == ("done", True, 12)
    assert await events_of(system, user) == []

    one, two = await imported(environment, user, first, second)
    assert [(answer.state, answer.counts.taken, answer.counts.known) for answer in (one, two)] == [
        ("done", 12, 0),
        ("done", 8, 4),
    ]
    assert dict(two.counts.skipped) == {"duplicate": 1}
    assert all(map(adds_up, (dry, one, two)))
    events = await events_of(system, user)
    assert {type(event.data) for event in events} == {ListenImported}
    found = library(events)
    assert found.listens == 20
    assert (found.first_us, found.last_us) == (BEGAN_MS * 1_000, (BEGAN_MS + 19 * STEP_MS) * 1_000)
    by_name = song_name("Song 0", ["Artist 0"])
    assert {one.song_id for one in found.songs} > {song.id, by_name.id}

    (again,) = await imported(environment, user, second)
    assert (again.id, again.counts.taken, again.counts.known) == (two.id, 0, 12)
    assert len(await events_of(system, user)) == len(events)

    undone = await songline(environment, "import", "--user", user, "--undo", one.id)
    assert (undone.returncode, undone.stdout) == (0, f"{one.id}: undone\n"), undone
    assert library(await events_of(system, user)).listens == 12
    (anew,) = await imported(environment, user, first)
    assert anew.id != one.id
    assert (anew.counts.taken, anew.counts.known) == (8, 4)
    assert library(await events_of(system, user)).listens == 20
    # The folder of both is one import, and the same one each time.
    (tmp_path / "in" / "note.txt").write_text("no history")
    folders = [(await imported(environment, user, str(tmp_path / "in")))[0] for _ in range(2)]
    assert [(one.counts.taken, one.counts.known, one.file_name) for one in folders] == [(0, 20, "in")] * 2
    assert folders[0].id == folders[1].id
    assert adds_up(folders[0])

    assert await system.staged() == [], "raw files are deleted"
    names = cosmos.container(system.cosmos, DATABASE, NAMES)
    kept = await names.read_item(by_name.id, by_name.shard)
    assert (kept["title"], kept["artists"]) == ("Song 0", ["Artist 0"])
    listed = await songline(environment, "import", "--user", user, "--list")
    assert sorted(line.split()[3].rstrip(",") for line in listed.stdout.splitlines()) == ["done"] * 4 + ["undone"]


async def test_a_library_shows_a_history_at_its_own_dates_writes_it_back_and_gives_it_up(
    system: App,
    environment: Mapping[str, str],
    api: ApiProcess,
    song_cloud: LocalCloud,
    tmp_path: Path,
) -> None:
    user, text = "imports-9", listenbrainz(UNKNOWN)
    library_worker = LibraryWorker(song_cloud, tmp_path / "library.log").start()
    try:
        (taken,) = await imported(environment, user, file(tmp_path / "in", "history", text))
        assert (taken.counts.taken, taken.counts.by_name) == (20, 20)
        # The sixth listen to the tenth: each of the five songs once.
        since, until = (UNKNOWN[number].began.isoformat() for number in (5, 10))
        span = {"since": since, "until": until}
        async with api.client() as http:

            async def answered(path: str, **params: str) -> dict[str, Any]:
                """The answer. A store that does not answer in time, or has no version yet, is asked again."""

                async def answer() -> dict[str, Any]:
                    found = await http.get(f"/v1/users/{user}/{path}", params=params)
                    assert found.status_code in (200, 503), found.text
                    body: dict[str, Any] = found.json() if found.status_code == 200 else {}
                    return body

                return await wait_for_async(answer, f"an answer about {path}")

            async def plays(**params: str) -> list[int]:
                return sorted(one["plays"] for one in (await answered("library", **params))["entries"])

            async def is_there() -> bool:
                return sum(await plays()) == 20

            await wait_for_async(is_there, "the library to have the history", 120)
            assert await plays(**span) == [1] * 5
            assert await plays(until=UNKNOWN[0].began.isoformat()) == []
            recent = (await answered("recent", until=until))["listens"]
            assert datetime.fromisoformat(recent[0]["at"]) == UNKNOWN[9].began
            shown = await typed(environment, "library", user, "--since", since, "--until", until, "--json")
            assert [one["plays"] for one in json.loads(shown)["entries"]] == [1] * 5

            await typed(environment, "export", user, "--listenbrainz", "-o", str(tmp_path / "out"))
            (back,) = (tmp_path / "out").iterdir()
            assert sorted(told(back.read_bytes())) == sorted(told(text))
            (again,) = await imported(environment, user, str(back))
            assert (again.counts.read, again.counts.taken, again.counts.known) == (20, 0, 20)
            assert again.id != taken.id
            for one in (taken, again):
                await typed(environment, "import", "--user", user, "--undo", one.id)

            async def is_gone() -> bool:
                return await plays() == []

            await wait_for_async(is_gone, "the library to have nothing of the history", 120)
    finally:
        library_worker.kill()


async def typed(environment: Mapping[str, str], *arguments: str) -> str:
    """What a command that succeeds says, in this process."""
    done = await asyncio.to_thread(CliRunner().invoke, main, arguments, env=dict(environment))
    assert done.exit_code == 0, done.output
    return done.stdout


def told(archive: bytes) -> list[tuple[int, str, str]]:
    """The listens in an export of ListenBrainz: when, title and artist."""
    rows = read_history(io.BytesIO(archive), ReadOptions("any"))
    return [(row.began_ms // 1_000, row.title, row.artists[0]) for _, row in rows if isinstance(row, HistoryListen)]


async def test_any_order_of_files_gives_one_library(
    system: App, environment: Mapping[str, str], tmp_path: Path
) -> None:
    files = [
        file(tmp_path / "in", "spotify", spotify(HISTORY[:10])),
        file(tmp_path / "in", "bare", lastfm_bare(HISTORY[5:15])),
        file(tmp_path / "in", "table", lastfm_table(HISTORY[3:12])),
    ]
    libraries = []
    for user, order in (("imports-2", files), ("imports-3", files[::-1])):
        answers = await imported(environment, user, *order)
        assert sum(answer.counts.taken for answer in answers) == 15
        libraries.append(library(await events_of(system, user)))
    assert libraries[0] == libraries[1]
    assert libraries[0].listens == 15


async def test_local_times_are_of_the_zone_that_is_named(
    system: App, environment: Mapping[str, str], tmp_path: Path
) -> None:
    log = file(tmp_path / "in", ".scrobbler.log", rockbox(HISTORY[:1], zone="UNKNOWN"))
    await imported(environment, "imports-4", log)
    await imported(environment, "imports-5", log, "--timezone", "Europe/Berlin")
    for user, ahead_h in (("imports-4", 9), ("imports-5", 1)):
        (event,) = await events_of(system, user)
        assert event.time.timestamp() == BEGAN_MS / 1_000 - ahead_h * 3_600, user


async def test_what_is_no_history_is_refused_and_the_rest_goes_on(
    system: App, environment: Mapping[str, str], tmp_path: Path
) -> None:
    bad, empty = file(tmp_path / "in", "bad", b"hello"), file(tmp_path / "in", "empty", b"")
    good = file(tmp_path / "in", "good", lastfm_table(HISTORY[:2]))
    done = await songline(environment, "import", "--user", "imports-6", bad, empty, good)
    assert done.returncode == 1
    assert "refused" in done.stdout
    assert "expected a ListenBrainz export" in done.stdout
    assert "0 bytes" in done.stderr
    assert "read 2: 2 taken, 0 already known, 0 skipped" in done.stdout
    assert await system.staged() == []
    assert await system.waiting() == 0
    for arguments in ([], [good, "--list"], [good, "--timezone", "Nowhere/Land"]):
        wrong = await songline(environment, "import", "--user", "imports-6", *arguments)
        assert wrong.returncode in (1, 2), wrong


async def test_a_running_import_is_stopped_and_goes_on_when_it_is_repeated(
    system: App, environment: Mapping[str, str], api: ApiProcess, worker: WorkerProcess, tmp_path: Path
) -> None:
    user, many = "imports-7", 12_000
    history = [Heard(BEGAN_MS + number * STEP_MS, f"Song {number % 50}", "Artist") for number in range(many)]
    path = file(tmp_path / "in", "big", lastfm_table(history))
    begun = await songline(environment, "import", "--user", user, "--no-wait", path)
    import_id = begun.stdout.rpartition("(")[2].strip(")\n")
    async with api.client() as http:

        async def read() -> ImportAnswer:
            return answer_in((await http.get(f"/v1/imports/{import_id}")).text)

        async def under_way() -> bool:
            return (await read()).counts.read > 0

        await wait_for_async(under_way, "the import to be under way", 120)
        # A worker that dies leaves the command to its next life, and what was taken counts once.
        worker.kill()
        worker.start()
        await wait_for_async(under_way, "the import to be under way again", 180)
        assert (await http.post(f"/v1/imports/{import_id}/stop")).status_code == 202

        async def is_over() -> bool:
            return (await read()).state in ("stopped", "done")

        await wait_for_async(is_over, "the import to be stopped", 120)
        first = await read()
        assert adds_up(first)
        (second,) = await imported(environment, user, path)
        assert second.id == import_id
        assert second.counts.taken + second.counts.known == many == second.counts.read
    assert library(await events_of(system, user)).listens == many
    assert await system.staged() == []


async def test_requests_are_checked(system: App, api: ApiProcess) -> None:
    async with api.client() as http:
        body = lastfm_table(HISTORY[:1])
        for params, status in (
            ({"userId": "imports-8", "tz": "UTC"}, 400),
            ({"userId": "imports-8", "timezone": "../etc/passwd"}, 400),
            ({"userId": "imports-8", "dryRun": "yes"}, 400),
            ({"userId": "imports-8"}, 202),
        ):
            answer = await http.post("/v1/imports", params=params, content=body)
            assert answer.status_code == status, answer.text
        form = await http.post(
            "/v1/imports",
            data={"userId": "imports-8", "dryRun": "true"},
            files={"file": ("a b.csv", body, "text/csv")},
        )
        assert form.status_code == 202, form.text
        located = await http.get(form.headers["Location"])
        assert (located.json()["fileName"], located.json()["dryRun"]) == ("a b.csv", True)
        assert (await http.post(f"{form.headers['Location']}/undo")).status_code == 409
        for path in ("/v1/imports/none", "/v1/imports/none/undo"):
            answer = await http.request("GET" if path.endswith("none") else "POST", path)
            assert (answer.status_code, answer.json()["title"]) == (404, "No such import")
        listed = await http.get("/v1/users/imports-8/imports")
        assert len(listed.json()["imports"]) == 2
        await finished(http, listed.json()["imports"][0]["id"])
        await finished(http, listed.json()["imports"][1]["id"])


async def finished(http: httpx.AsyncClient, import_id: str) -> None:
    async def is_done() -> bool:
        return answer_in((await http.get(f"/v1/imports/{import_id}")).text).state == "done"

    await wait_for_async(is_done, "the import to be done", 120)
