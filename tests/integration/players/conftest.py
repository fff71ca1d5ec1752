"""A system that players report to: localcloud, the API, and the workers of charts and libraries, each a process."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from songline.cloud import blobs, cosmos
from songline.cloud.settings import read_blobs, read_cosmos
from songline.identity.scopes import Scope
from songline.players.tokens.player_token import PLAYER_SCOPES, new_token
from songline.players.tokens.token_store import open_player_tokens
from songline.processes.entities import CONTAINERS
from songline.projections.http.hosts import HOSTS
from songline.schemas.channels import BLOB_CONTAINERS, DATABASE
from tests.support.api import ApiProcess
from tests.support.library import LibraryWorker
from tests.support.localcloud import LocalCloud
from tests.support.worker import TrendingWorker

LISTENBRAINZ = "api.listenbrainz.org"


class PlayerSystem:
    """What is running: `api`, and the environment of commands in another terminal."""

    def __init__(self, cloud: LocalCloud, api: ApiProcess, folder: Path) -> None:
        self.cloud, self.api = cloud, api
        mine = {"SONGLINE_DATA": str(folder / "none"), "SONGLINE_API": api.address, "COLUMNS": "200"}
        self.environment: Mapping[str, str] = {**cloud.environment, **mine}

    def songline(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command, as it is typed."""
        return subprocess.run(
            [sys.executable, "-m", "songline", *arguments],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def token(self, user: str, player: str = "player", *scopes: Scope) -> str:
        """A new token of a player of the listener."""
        made = new_token(user, player, scopes or PLAYER_SCOPES, datetime.now(UTC), secrets.token_bytes)

        async def add() -> None:
            async with open_player_tokens(self.environment) as store:
                await store.add(made.token)

        asyncio.run(add())
        return made.text


@pytest.fixture(scope="module")
def system(song_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayerSystem]:
    folder, cloud = tmp_path_factory.mktemp("players"), song_cloud
    asyncio.run(_made(cloud))
    environment = {**cloud.environment, HOSTS: LISTENBRAINZ, "SONGLINE_OUTBOX": str(folder / "outbox.db")}
    api = ApiProcess(environment, folder / "api.log")
    workers = [LibraryWorker(cloud, folder / "library.log"), TrendingWorker(cloud, folder / "trending.log")]
    try:
        for worker in workers:
            worker.start()
        yield PlayerSystem(cloud, api.start(), folder)
    finally:
        api.kill()
        for worker in workers:
            worker.kill()


async def _made(cloud: LocalCloud) -> None:
    async with cosmos.client(read_cosmos(cloud.environment)) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
    async with blobs.client(read_blobs(cloud.environment)) as storage:
        await blobs.ensure(storage, BLOB_CONTAINERS)
