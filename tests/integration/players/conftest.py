"""A system that players report to: localcloud, the API, and the workers of charts and libraries, each a process."""

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from songline.cli import main
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
from tests.support.waiting import wait_for
from tests.support.worker import TrendingWorker

LISTENBRAINZ = "api.listenbrainz.org"


class PlayerSystem:
    """What is running: `api`, and the environment of commands in another terminal."""

    def __init__(self, cloud: LocalCloud, api: ApiProcess, folder: Path) -> None:
        self.cloud, self.api = cloud, api
        mine = {"SONGLINE_DATA": str(folder / "none"), "SONGLINE_API": api.address, "COLUMNS": "200"}
        self.environment: Mapping[str, str] = {**cloud.environment, **mine}

    def has_libraries(self) -> bool:
        """Whether libraries can be read: the worker makes their first version."""
        with self.api.blocking_client() as http:
            return http.get("/v1/users/nobody/summary").status_code == 200

    def songline(self, *arguments: str) -> str:
        """What a command prints, run in this process: a process of its own takes seconds to begin."""
        result = CliRunner().invoke(main, list(arguments), env=dict(self.environment))
        assert result.exit_code == 0, result.output
        return result.stdout

    def token(self, user: str, player: str = "player", *scopes: Scope) -> str:
        """A new token of a player of the listener."""
        made = new_token(user, player, scopes or PLAYER_SCOPES, datetime.now(UTC), secrets.token_bytes)

        async def add() -> None:
            async with open_player_tokens(self.environment) as store:
                await store.add(made.token)

        asyncio.run(add())
        return made.text


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients read proxies from the environment, and the system is on this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


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
        running = PlayerSystem(cloud, api.start(), folder)
        wait_for(running.has_libraries, "the first version of libraries", 90)
        yield running
    finally:
        api.kill()
        for worker in workers:
            worker.kill()


async def _made(cloud: LocalCloud) -> None:
    async with cosmos.client(read_cosmos(cloud.environment)) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
    async with blobs.client(read_blobs(cloud.environment)) as storage:
        await blobs.ensure(storage, BLOB_CONTAINERS)
