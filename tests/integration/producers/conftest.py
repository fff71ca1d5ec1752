import gc
from collections.abc import Iterator

import pytest

from songline.schemas.channels import MUSIC_EVENTS
from tests.support.localcloud import LocalCloud


@pytest.fixture(scope="module")
def _localcloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    cloud = LocalCloud(tmp_path_factory.mktemp("cloud")).start()
    yield cloud
    cloud.stop()


@pytest.fixture
def localcloud(_localcloud: LocalCloud) -> LocalCloud:
    """One after the other has it, running and with an empty hub; who kills it leaves the next one started again."""
    if not _localcloud.is_running:
        _localcloud.restart()
    _localcloud.remake_hub(MUSIC_EVENTS)
    return _localcloud


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What a test's broken connections left behind is collected with it, and not with some other test."""
    yield
    gc.collect()
