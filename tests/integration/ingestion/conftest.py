"""A localcloud with Blob Storage, an app that uploads, and a worker, each a process of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.ingestion import App, WorkerProcess
from tests.support.localcloud import LocalCloud


@pytest.fixture(scope="module")
def song_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """For all tests of a module; they keep out of each other's way by ids."""
    cloud = LocalCloud(tmp_path_factory.mktemp("songs"), ["--blobs"]).start()
    yield cloud
    cloud.stop()


@pytest.fixture
async def app(song_cloud: LocalCloud) -> AsyncIterator[App]:
    async with App(song_cloud) as app:
        yield app


@pytest.fixture(scope="module")
def _worker(song_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(song_cloud.environment, tmp_path_factory.mktemp("worker") / "worker.log")
    yield worker
    worker.kill()


@pytest.fixture
def worker(app: App, _worker: WorkerProcess) -> WorkerProcess:
    """One after the other has it, running; who ends it leaves the next a new one."""
    return _worker if _worker.running else _worker.start()
