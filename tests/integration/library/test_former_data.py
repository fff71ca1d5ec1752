"""Today's system goes on with the data folder that commit 64129bc left behind."""

from collections.abc import Iterator

import pytest

from songline.schemas.channels import LIBRARY
from songline.schemas.envelope import decode
from songline.schemas.errors import PoisonError
from tests.integration.producers.reading import read_all
from tests.support.former_data import APPLIED, ENDS, former_cloud
from tests.support.library import Libraries
from tests.support.library_reference import Place
from tests.support.localcloud import LocalCloud
from tests.support.projection import told


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    cloud = former_cloud(tmp_path_factory.mktemp("former")).start()
    yield cloud
    cloud.stop()


async def log_of(cloud: LocalCloud) -> list[Place]:
    """Partition, position and event of all that is in the hub, but for what is no event."""
    places = []
    for partition, records in enumerate(await read_all(cloud)):
        for position, (_, body) in enumerate(records):
            try:
                places.append((partition, position, decode(body)))
            except PoisonError:
                continue
    return places


async def test_the_data_is_what_the_former_version_left(cloud: LocalCloud) -> None:
    log = await log_of(cloud)
    async with told(cloud, LIBRARY) as (producer, container):
        former = Libraries(producer, container)
        assert await former.ends() == ENDS
        progress = await former.progress()
        assert progress is not None
        assert {number: one.position for number, one in progress.partitions.items()} == APPLIED
        applied = [place for place in log if place[1] <= APPLIED[str(place[0])]]
        assert len(applied) < len(log)
