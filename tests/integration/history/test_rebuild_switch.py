"""`songline rebuild --switch` on a machine that is too busy to bring a version near the hub's end at once."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from azure.eventhub import EventData

from songline.cli import main
from songline.cloud import eventhubs
from songline.processors.history.versions.lag import LagMeter, VersionLag
from songline.processors.history.versions.opening import open_versions
from songline.schemas.channels import LIBRARY, MUSIC_EVENTS
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongLiked
from songline.schemas.progress import Watermark
from songline.schemas.projections import LiveVersionDocument
from tests.support.localcloud import LocalCloud
from tests.support.worker import make_containers


async def tell(cloud: LocalCloud, name: str) -> None:
    event = Event(id=name, source="/t", time=datetime.now(UTC), data=SongLiked(user_id="ann", song_id=name))
    async with eventhubs.producer(cloud.settings().eventhubs, MUSIC_EVENTS) as producer:
        await producer.send_batch([EventData(encode(event))], partition_id="0")


async def prepare(cloud: LocalCloud) -> None:
    await make_containers(cloud.settings())
    await tell(cloud, "there-before")
    async with open_versions(cloud.environment) as services:
        await services.store.ensure(LiveVersionDocument(id=LIBRARY, version=1, shelves=4))


def test_what_came_in_meanwhile_is_folded_until_the_version_is_near(
    own_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(prepare(own_cloud))
    for name, value in own_cloud.environment.items():
        monkeypatch.setenv(name, value)
    measure, slow = LagMeter.measure, [14.0, 13.0, 12.0, 11.0]

    async def measured(self: LagMeter, watermarks: Mapping[str, Watermark]) -> VersionLag:
        """One event comes in each time, and the measuring takes long."""
        if not slow:
            return await measure(self, watermarks)
        await tell(own_cloud, f"came-in-{len(slow)}")
        return VersionLag((await measure(self, watermarks)).events, slow.pop(0))

    monkeypatch.setattr(LagMeter, "measure", measured)
    main(["rebuild", LIBRARY, "--switch"], standalone_mode=False)
    said = capsys.readouterr().err
    why = "version 2 of library is not near enough to be live, and is built on: 1 events behind, the oldest"
    assert [line for line in said.splitlines() if "built on" in line] == [
        f"{why} {age} s old" for age in (14, 13, 12, 11)
    ]
    *_, folded, live = said.splitlines()
    assert (folded.partition(",")[0], live) == (
        "version 2 of library: 5 events folded",
        "version 2 of library is live",
    )
