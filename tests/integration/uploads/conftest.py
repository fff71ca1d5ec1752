"""The API, and a worker behind it, each a process of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.api import ApiProcess
from tests.support.ingestion import App, WorkerProcess
from tests.support.localcloud import LocalCloud


@pytest.fixture(scope="module")
def api(song_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """For all tests of a module."""
    api = ApiProcess(song_cloud.environment, tmp_path_factory.mktemp("api") / "api.log").start()
    yield api
    api.kill()


@pytest.fixture
def fresh_api(app: App, tmp_path: Path) -> Iterator[ApiProcess]:
    """For one test alone, which may kill it."""
    api = ApiProcess(app.environment, tmp_path / "api.log").start()
    yield api
    api.kill()


@pytest.fixture
async def http(app: App, api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


@pytest.fixture
def worker(app: App, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(app.environment, tmp_path / "worker.log").start()
    yield worker
    worker.kill()
