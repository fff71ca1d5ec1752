"""Fixtures of the tests over the real SDKs."""

from collections.abc import AsyncIterator, Iterator

import pytest

from songline.processes.ports import reserved
from tests.support.ingestion import App
from tests.support.localcloud import LocalCloud, SharedCloud


@pytest.fixture(scope="module")
def song_cloud(cloud_host: LocalCloud) -> Iterator[LocalCloud]:
    """A cloud with Blob Storage for all tests of a module; they keep out of each other's way by users and ids."""
    cloud = SharedCloud(cloud_host).start()
    yield cloud
    cloud.stop()


@pytest.fixture
def own_cloud(cloud_host: LocalCloud) -> Iterator[LocalCloud]:
    """A cloud with Blob Storage for one test alone, whose hubs are empty."""
    cloud = SharedCloud(cloud_host).start()
    yield cloud
    cloud.stop()


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that nobody else gets in this test, whatever stops on it and starts again."""
    with reserved({"--port": 0}) as ports:
        yield ports["--port"]


@pytest.fixture
async def app(song_cloud: LocalCloud) -> AsyncIterator[App]:
    """What sends and reads songs there."""
    async with App(song_cloud) as app:
        yield app
