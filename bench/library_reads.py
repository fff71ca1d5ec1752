"""`python -m bench library_reads`: what a read of a library costs, by its size, today and at 64129bc.

Each version's read API is a process of its own over a localcloud of its own. The same listeners have the same songs in
both: today's as the library worker writes them, on a shelf with other listeners; the baseline's as the documents that
its worker leaves. Counted are the request units of all that the API asks Cosmos DB for an answer: freshness, the
library, titles. A cold read is the first one of that listener; the pages that follow are of the same list.
"""

import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
from azure.cosmos.aio import ContainerProxy

from bench.baseline import ROOT, Checkout, checked_out
from bench.charged import Tally, command
from bench.contestants import Baseline
from bench.measurement import Measurement
from songline.cloud import cosmos
from songline.cloud.settings import read_cosmos
from songline.identity.scopes import Scope
from songline.identity.token_auth import TokenAuth
from songline.identity.token_source import token_source
from songline.processes.entities import CONTAINERS
from songline.processors.library.shelf_store import ShelfStore
from songline.schemas.channels import DATABASE, LIBRARY, LIBRARY_SHELVES, PROJECTIONS
from songline.schemas.library.action import UserAction, merge_actions, microseconds
from songline.schemas.library.listener_documents import SUMMARY, EntryDocument, Listen, SummaryDocument, entry_id
from songline.schemas.library.shelf import shelf_key, shelf_of
from songline.schemas.projections import LiveVersionDocument
from tests.support.api import LISTENS
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for

REGION = (
    "from the request to the read API until its answer, over HTTP on loopback, one after the other; request units are "
    "all that the API was charged for it"
)
SONGS = (10, 1_000, 50_000)
LISTENS_A_SONG = 2
SHELVES = 4
OTHERS = 5_000
"""Other listeners of the shelf: a quarter of the simulator's."""

OTHERS_LISTENS = 40
PAGE = 20
PAGES = 10
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
_FLUSH = 2_000
_BATCH = 100


def measure(quick: bool) -> list[Measurement]:
    """Reads of listeners with SONGS songs; small ones only if `quick`."""
    sizes = SONGS[:2] if quick else SONGS
    with checked_out() as checkout:
        before = _costs(sizes, checkout, quick)
    now = _costs(sizes, None, quick)
    found = []
    for what, (charge, ms) in now.items():
        charge_before, ms_before = before.get(what, (None, None))
        print(
            f"  64129bc: {what}: "
            + ("no answer" if ms_before is None else f"{charge_before:.2f} RU, {ms_before:.1f} ms")
        )
        wanted = "<= 20" if what.startswith("1,000 songs") else ""
        for name, figure, unit, peer in (
            ("request units", charge, "RU", charge_before),
            ("time", ms, "ms", ms_before),
        ):
            found.append(
                Measurement(
                    row=0,
                    what=f"{name}, {what}",
                    figure=figure,
                    unit=unit,
                    wanted=wanted if unit == "RU" else "",
                    peer="64129bc",
                    peer_figure=peer,
                )
            )
    return found


def _costs(sizes: Sequence[int], checkout: Checkout | None, quick: bool) -> dict[str, tuple[float, float]]:
    """By what was read, the request units of it, and the milliseconds. What gets no answer (503) is left out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cloud = LocalCloud(folder / "cloud", ["--blobs"]).start()
        try:
            if checkout is not None:
                Baseline(checkout).prepare(cloud)
                asyncio.run(_write_documents(cloud, sizes))
            else:
                asyncio.run(_write_shelf(cloud, sizes, 200 if quick else OTHERS))
            auth = TokenAuth(token_source(cloud.environment, scopes=[Scope.LIBRARY_READ_ANY]))
            with _api(cloud, checkout, folder) as (address, tally):
                return {what: cost for songs in sizes for what, cost in _read(address, tally, songs, auth)}
        finally:
            cloud.stop()


def _read(address: str, tally: Path, songs: int, auth: TokenAuth) -> Iterator[tuple[str, tuple[float, float]]]:
    with httpx.Client(base_url=address, timeout=60, trust_env=False, auth=auth) as client:
        path = f"/v1/users/{_user(songs)}/library"

        def cost(**params: str | int) -> tuple[tuple[float, float], str | None] | None:
            before, start_s = Tally.read(tally), time.perf_counter()
            answer = client.get(path, params={"limit": PAGE, **params})
            ms = 1_000 * (time.perf_counter() - start_s)
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                return None
            return (Tally.read(tally).since(before).charge, ms), answer.raise_for_status().json()["next"]

        # What the process reads once, such as account and containers, is not the listener's.
        client.get("/v1/users/nobody/library").raise_for_status()
        first = cost()
        if first is None:
            return
        yield f"{songs:,} songs, first page, cold", first[0]
        again = cost()
        if again is not None:
            yield f"{songs:,} songs, first page again", again[0]
        pages: list[tuple[float, float]] = []
        cursor = first[1]
        while cursor is not None and len(pages) < PAGES and (found := cost(cursor=cursor)) is not None:
            pages.append(found[0])
            cursor = found[1]
        if pages:
            charges, times = zip(*pages, strict=True)
            yield f"{songs:,} songs, a following page", (statistics.median(charges), statistics.median(times))


@contextmanager
def _api(cloud: LocalCloud, checkout: Checkout | None, folder: Path) -> Iterator[tuple[str, Path]]:
    """The address of the read API, and the file with what it was charged."""
    tally, log = folder / "tally", folder / "api.log"
    python, source = sys.executable, ROOT
    if checkout is not None:
        python, source = str(checkout.python), checkout.folder
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command(python, tally, "songline.api"), "--port", "0"],
            cwd=source,
            env={**cloud.environment, "SONGLINE_OUTBOX": str(folder / "outbox.sqlite")},
            stdout=file,
            stderr=file,
        )
    try:
        found = wait_for(lambda: LISTENS.search(log.read_text()) or process.poll() is not None, "the API to listen")
        assert not isinstance(found, bool), log.read_text()[-2_000:]
        yield found[1], tally
    finally:
        process.terminate()
        process.wait()


def _user(songs: int) -> str:
    """A listener with so many songs, whose shelf is the first."""
    return next(name for number in range(1_000) if shelf_of(name := f"of-{songs}-{number}", SHELVES) == 0)


def _listens(user_id: str, songs: int, listens: int, seed: int) -> Iterator[UserAction]:
    """Listens of a year, the songs in turn."""
    chance = random.Random(seed)
    start_us, year_us = microseconds(NOON), 365 * 86_400_000_000
    for number in range(listens):
        at_us = start_us - chance.randrange(year_us)
        mark = chance.getrandbits(48)
        yield UserAction(
            user_id, f"song-{number % songs:06}", at_us, mark, "listen", 0, 0, chance.randrange(30_000, 300_000)
        )


async def _write_shelf(cloud: LocalCloud, sizes: Sequence[int], others: int) -> None:
    actions = [each for songs in sizes for each in _listens(_user(songs), songs, songs * LISTENS_A_SONG, songs)]
    names = (f"other-{number}" for number in range(10 * SHELVES * others))
    for number, name in enumerate(name for name in names if shelf_of(name, SHELVES) == 0):
        if number == others:
            break
        actions += _listens(name, OTHERS_LISTENS // 2, OTHERS_LISTENS, number)
    random.Random(1).shuffle(actions)
    actions = [each._replace(position=position) for position, each in enumerate(actions)]
    async with cosmos.client(read_cosmos(cloud.environment)) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        live = LiveVersionDocument(id=LIBRARY, version=1, shelves=SHELVES)
        await cosmos.container(client, DATABASE, PROJECTIONS).upsert_item(msgspec.to_builtins(live))
        store = ShelfStore(cosmos.container(client, DATABASE, LIBRARY_SHELVES), 100_000)
        for start in range(0, len(actions), _FLUSH):
            await store.apply(shelf_key(1, 0), 0, actions[start : start + _FLUSH])


async def _write_documents(cloud: LocalCloud, sizes: Sequence[int]) -> None:
    async with cosmos.client(read_cosmos(cloud.environment)) as client:
        container = cosmos.container(client, DATABASE, LIBRARY)
        for songs in sizes:
            await _write_listener(container, _user(songs), songs)


async def _write_listener(container: ContainerProxy, user_id: str, songs: int) -> None:
    """The documents of a listener as the baseline's worker leaves them."""
    actions = merge_actions([_listens(user_id, songs, songs * LISTENS_A_SONG, songs)])
    by_song: dict[str, list[UserAction]] = {}
    for action in actions:
        by_song.setdefault(action.song_id, []).append(action)
    moment = {action: NOON - timedelta(microseconds=microseconds(NOON) - action.at_us) for action in actions}
    entries = [
        EntryDocument(
            id=entry_id(song_id),
            user_id=user_id,
            song_id=song_id,
            plays=len(some),
            ms_played=sum(each.ms_played for each in some),
            first_played_at=moment[some[0]],
            last_played_at=moment[some[-1]],
            by_recent=f"{moment[some[-1]].isoformat(timespec='microseconds')} {song_id}",
            by_plays=f"{len(some):010} {song_id}",
        )
        for song_id, some in by_song.items()
    ]
    listens = sorted(
        (Listen(at=moment[each], song_id=each.song_id, ms_played=each.ms_played) for each in actions), reverse=True
    )
    summary = SummaryDocument(
        id=SUMMARY, user_id=user_id, listens=len(actions), songs=songs, recent=tuple(listens[:50]), applied={"0": 1}
    )
    documents = [msgspec.to_builtins(each) for each in (summary, *entries)]
    for start in range(0, len(documents), _BATCH):
        batch = [("upsert", (document,)) for document in documents[start : start + _BATCH]]
        await container.execute_item_batch(batch, partition_key=user_id)
