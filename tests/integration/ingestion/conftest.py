"""The ingestion worker as a process that one test hands on to the next."""

from collections.abc import Iterator

import pytest

from tests.support.ingestion import App, WorkerProcess
from tests.support.localcloud import LocalCloud


@pytest.fixture(scope="module")
def _worker(song_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(song_cloud.environment, tmp_path_factory.mktemp("worker") / "worker.log")
    yield worker
    worker.kill()


@pytest.fixture
def worker(app: App, _worker: WorkerProcess) -> WorkerProcess:
    """One after the other has it, running; who ends it leaves the next a new one."""
    return _worker if _worker.running else _worker.start()
