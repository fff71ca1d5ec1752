"""A rebuild over files of an independent writer, of which one is cut: it is named, or passed over and counted."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from songline.audit.library_reference import Place, libraries
from songline.cli import main
from songline.cloud import blobs, cosmos
from songline.cloud.settings import read_blobs
from songline.processors.history.archive.name_format import NameFormat
from songline.processors.history.versions.opening import open_versions
from songline.schemas.channels import ARCHIVE_BLOBS, CHARTS, DATABASE, LIBRARY, MUSIC_EVENTS, PLAYS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongLiked
from songline.schemas.projections import LiveVersionDocument, container_of
from tests.support.capture_files import capture_file, iso_form, record, without
from tests.support.library import Libraries
from tests.support.localcloud import LocalCloud
from tests.support.worker import make_containers

EACH = 40
NAMES = "{EventHub}-of-{Namespace}/{Year}-{Month}-{Day}/p{PartitionId}/{Hour}-{Minute}-{Second}"
TAGS = [{"name": "Tags", "type": {"type": "array", "items": "string"}, "default": []}]


def liked(position: int, began: datetime) -> Event:
    data = SongLiked(user_id=f"user-{position % 5}", song_id=f"song-{position}")
    return Event(id=f"event-{position}", source="/t", time=began + timedelta(seconds=position), data=data)


def records(positions: range, began: datetime) -> list[dict[str, object]]:
    second = int(began.timestamp())
    return [
        {**record(at, second + at, encode(liked(at, began)), form=iso_form), "Tags": ["archived"]} for at in positions
    ]


async def prepare(cloud: LocalCloud, began: datetime) -> str:
    """Write three files of partition 0, the second one cut within a block; return its path."""
    await make_containers(cloud.settings())
    async with open_versions(cloud.environment) as services:
        await services.store.ensure(LiveVersionDocument(id=LIBRARY, version=1, shelves=4))
        await services.store.ensure(LiveVersionDocument(id=CHARTS, version=1))
    schema, names = without(["Offset", "SystemProperties"], TAGS), NameFormat(NAMES, MUSIC_EVENTS)
    paths: list[str] = []
    async with blobs.client(read_blobs(cloud.environment)) as account:
        container = account.get_container_client(ARCHIVE_BLOBS)
        if not await container.exists():
            await container.create_container()
        for number, codec in enumerate(("deflate", "snappy", "null")):
            some = records(range(EACH * number, EACH * number + EACH), began)
            data = capture_file(some, codec=codec, schema=schema, block_bytes=1_000)
            paths.append(names.path("elsewhere", MUSIC_EVENTS, "0", began + timedelta(seconds=EACH * (number + 1))))
            await container.upload_blob(paths[-1], data[: len(data) - (900 if number == 1 else 0)])
    return paths[1]


async def library_of(cloud: LocalCloud, version: int) -> object:
    async with cosmos.client(cloud.settings().cosmos) as account:
        container = cosmos.container(account, DATABASE, container_of(LIBRARY, version))
        return await Libraries(None, container).all()  # type: ignore[arg-type] # it only reads


def test_a_cut_file_is_named_or_passed_over_and_counted_by_position(
    start_localcloud: Callable[..., LocalCloud], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = start_localcloud("--blobs")
    began = datetime.fromtimestamp(int(time.time()) - 7_200, UTC)
    cut = asyncio.run(prepare(cloud, began))
    for name, value in {**cloud.environment, "SONGLINE_ARCHIVE_FORMAT": NAMES}.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            main([*arguments])
        except SystemExit as end:
            said = capsys.readouterr()
            return int(end.code or 0), said.out, said.err
        said = capsys.readouterr()
        return 0, said.out, said.err

    code, _, said = run("rebuild", LIBRARY)
    assert code == 2, said
    assert re.search(re.escape(cut) + r" is damaged in block \d+, at byte \d+: .*--skip", said), said
    for projection in (LIBRARY, CHARTS):
        code, _, said = run("rebuild", projection, "--skip")
        assert code == 0, said
        assert f"passed over: {cut} is damaged in block" in said
        found = re.search(r"passed over: partition 0 lacks positions (\d+) to 79; beside them: ", said)
        assert found, said
        missing = range(int(found[1]), 2 * EACH)
        assert missing.start > EACH
        assert f"{3 * EACH - len(missing)} events, {len(missing)} are missing\n" in said
        assert f"partition 0 lacks {len(missing)} events: {missing.start} to 79\n" in said

        if projection == LIBRARY:
            # Again: nothing is counted twice.
            assert run("rebuild", projection, "--skip")[0] == 0
        code, listed, _ = run("projection", "list", projection, "--json")
        version = json.loads(listed.splitlines()[1])
        assert (version["state"], version["missing"]) == ("ready", len(missing))
        assert version["missingAt"] == {"0": [[missing.start, 79]]}

    monkeypatch.setenv("SONGLINE_ARCHIVE_CONTAINER", "nowhere")
    code, _, said = run("rebuild", PLAYS)
    assert code == 2, said
    assert "there is no container nowhere: only what the hub still has is folded" in said
    assert "the archive has no events, and the hub has none" in said
    assert "--enable-capture true" in said

    there = [at for at in range(3 * EACH) if at not in missing]
    log: list[Place] = [(0, at, liked(at, began)) for at in there]
    assert asyncio.run(library_of(cloud, 2)) == libraries(log)
