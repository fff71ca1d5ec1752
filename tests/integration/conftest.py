"""Fixtures of the tests over the real SDKs."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.ingestion import App
from tests.support.localcloud import LocalCloud, SharedCloud


@pytest.fixture(scope="session")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """The process in which each module has its cloud."""
    host = LocalCloud(tmp_path_factory.mktemp("songs"), ["--blobs"]).start()
    yield host
    host.stop()


@pytest.fixture(scope="module")
def song_cloud(_host: LocalCloud) -> Iterator[LocalCloud]:
    """A cloud with Blob Storage for all tests of a module; they keep out of each other's way by users and ids."""
    cloud = SharedCloud(_host).start()
    yield cloud
    cloud.stop()


@pytest.fixture
def own_cloud(_host: LocalCloud) -> Iterator[LocalCloud]:
    """A cloud with Blob Storage for one test alone, whose hubs are empty."""
    cloud = SharedCloud(_host).start()
    yield cloud
    cloud.stop()


@pytest.fixture
async def app(song_cloud: LocalCloud) -> AsyncIterator[App]:
    """What sends and reads songs there."""
    async with App(song_cloud) as app:
        yield app
