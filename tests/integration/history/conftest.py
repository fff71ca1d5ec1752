"""What tests of erasures share: a localcloud, and a system on it that holds something of listeners."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.erasure import ErasureSystem, erasure_system
from tests.support.ingestion import App
from tests.support.localcloud import LocalCloud


@pytest.fixture(scope="module")
def erasure_cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A localcloud with Blob Storage for all tests of a module, whose `CAPTURE` has the flags of Capture."""
    flags = getattr(request.module, "CAPTURE", ())
    cloud = LocalCloud(tmp_path_factory.mktemp("cloud"), ["--blobs", *flags]).start()
    yield cloud
    cloud.stop()


@pytest.fixture
async def system(erasure_cloud: LocalCloud, tmp_path: Path) -> AsyncIterator[ErasureSystem]:
    """Two versions of libraries and songs there, and what erases."""
    async with App(erasure_cloud) as app, erasure_system(app, tmp_path) as found:
        yield found
