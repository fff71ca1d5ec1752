"""A rebuild of charts that was stopped leaves what another one has handed over, or saved, in its place."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random

import pytest
from msgspec import structs

from songline.cloud import cosmos
from songline.cloud.settings import read_eventhubs
from songline.processors.history.charts.charts_rebuild import charts_rebuilt
from songline.processors.history.charts.checkpoints import open_checkpoints
from songline.processors.history.charts.trending_state import open_hours
from songline.processors.history.versions.version_store import VersionOvertakenError
from songline.processors.trending.state_version import StateVersion
from songline.processors.trending.state_writer import open_state_writer, remove_state
from songline.schemas.channels import ATTEMPTS, CHARTS, DATABASE
from songline.schemas.policy import V1
from songline.schemas.progress import Watermark
from songline.schemas.projections import VersionDocument, container_of, version_id
from tests.support.history import HistoryInFiles
from tests.support.ingestion import App
from tests.support.localcloud import LocalCloud
from tests.support.worker import make_containers
from tests.unit.history.test_replay_rebuild import parts_of
from tests.unit.trending.test_pipeline import PARTITIONS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NUMBER = 7
HANDED_OVER = 6
"""Two marks of hours, two values of shards, and two sealed hours."""


class Lease:
    """A lease that another process takes once this one has asked for it so often."""

    def __init__(self, left: int) -> None:
        self._left = left

    async def check(self) -> None:
        if self._left == 0:
            raise VersionOvertakenError("version 7 of charts was taken from this process")
        self._left -= 1


class HandedOver:
    """What version 7 of the charts has beside its container."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._version = StateVersion(NUMBER)
        self._attempts = cosmos.container(app.cosmos, DATABASE, ATTEMPTS)

    async def write(self, lease: Lease | None = None) -> None:
        """Write something of each kind, by a process that has this lease."""
        settings, environ = read_eventhubs(self._app.environment), self._app.environment
        guard = None if lease is None else lease.check
        sources = {0: Watermark(position=9, through=NOON)}
        async with (
            open_hours(environ, guard) as hours,
            open_state_writer(self._version, settings, hours, self._attempts, guard) as writer,
        ):
            await writer.write_chunks({f"0/{hour}/rebuild/0": b"chunk" for hour in (500_000, 500_001)})
            await writer.finish({number: {f"{number}/rebuild/head": b"head"} for number in (0, 1)}, sources)

    async def remove(self) -> int:
        """Remove all of it; return how much there was."""
        async with open_hours(self._app.environment) as hours:
            return await remove_state(self._version, read_eventhubs(self._app.environment), hours, self._attempts)


@pytest.fixture
async def handed_over(app: App, song_cloud: LocalCloud) -> AsyncIterator[HandedOver]:
    await make_containers(song_cloud.settings())
    found = HandedOver(app)
    yield found
    await found.remove()


@pytest.mark.parametrize(("asks", "left"), [(1, 6), (2, 5), (3, 4), (4, 3), (5, 2), (6, 2), (7, 1)])
async def test_what_another_one_has_handed_over_is_not_removed(
    app: App, handed_over: HandedOver, asks: int, left: int
) -> None:
    """It may be live since. The stopped one had asked what is saved, twice, and was to remove one after the other."""
    await handed_over.write()
    document = VersionDocument(
        id=version_id(CHARTS, NUMBER),
        projection=CHARTS,
        version=NUMBER,
        state="building",
        since=NOON,
        started_at=NOON,
        positions={"0": 9},
    )
    container = cosmos.container(app.cosmos, DATABASE, container_of(CHARTS, NUMBER))
    parts = structs.replace(
        parts_of(HistoryInFiles(Random(1), [], PARTITIONS), 0),
        version=document,
        account=app.cosmos,
        container=container,
        guard=Lease(asks).check,
    )
    with pytest.raises(VersionOvertakenError, match="was taken"):
        await charts_rebuilt(V1, app.environment).rebuild(parts)
    assert await handed_over.remove() == left


@pytest.mark.parametrize("asks", [0, 1, 4])
async def test_nothing_more_is_handed_over_once_another_one_has_the_version(handed_over: HandedOver, asks: int) -> None:
    with pytest.raises(VersionOvertakenError, match="was taken"):
        await handed_over.write(Lease(asks))
    assert await handed_over.remove() < HANDED_OVER


async def test_what_another_one_has_saved_is_not_removed(app: App) -> None:
    """It goes on from there, or a third one does."""
    async with open_checkpoints(app.environment, CHARTS, NUMBER) as stored:
        await stored.write(0, b"of another one")
        async with open_checkpoints(app.environment, CHARTS, NUMBER, Lease(0).check) as late:
            with pytest.raises(VersionOvertakenError, match="was taken"):
                await late.remove(0)
        assert await stored.numbers() == [0]
        await stored.remove(0)
