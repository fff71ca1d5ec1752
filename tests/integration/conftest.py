"""Fixtures of the tests over the real SDKs."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.ingestion import App
from tests.support.localcloud import LocalCloud


@pytest.fixture(scope="module")
def song_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A localcloud with Blob Storage for all tests of a module; they keep out of each other's way by users and ids."""
    cloud = LocalCloud(tmp_path_factory.mktemp("songs"), ["--blobs"]).start()
    yield cloud
    cloud.stop()


@pytest.fixture
async def app(song_cloud: LocalCloud) -> AsyncIterator[App]:
    """What sends and reads songs there."""
    async with App(song_cloud) as app:
        yield app
