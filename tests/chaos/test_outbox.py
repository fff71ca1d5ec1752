"""The hub is gone for a while under load, and the publishing process is killed meanwhile: nothing accepted is lost."""

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from songline.producers import EventPublisher
from songline.schemas.envelope import decode
from tests.integration.producers.reading import read_all
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for, wait_for_async

OUTAGE_S = float(os.environ.get("SONGLINE_TEST_OUTAGE", "3"))
"""How long the hub is gone: short here, a minute when it matters."""


class Service:
    """`tests.support.publishing` as a process; `accepted` are the ids that it told, with where they were."""

    def __init__(self, cloud: LocalCloud, folder: Path, run: int) -> None:
        self._told = folder / f"accepted-{run}.txt"
        with self._told.open("wb") as told, (folder / f"errors-{run}.txt").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.publishing", str(folder / "outbox.db"), str(run)],
                env=dict(cloud.environment),
                stdout=told,
                stderr=errors,
            )

    @property
    def accepted(self) -> list[list[str]]:
        whole, _, _ = self._told.read_text().rpartition("\n")
        return [line.split() for line in whole.splitlines()]

    def count(self, where: str) -> int:
        return sum(place == where for _, place in self.accepted)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()


async def empty(cloud: LocalCloud, outbox: Path) -> None:
    """Send what the second process has left, should it have been killed on its way over the disk again."""
    async with EventPublisher(cloud.settings().eventhubs, outbox=outbox) as publisher:

        async def nothing_is_left() -> bool:
            return publisher.statistics().buffered == 0

        await wait_for_async(nothing_is_left, "an empty outbox")


def test_every_accepted_event_arrives_in_order(localcloud: LocalCloud, tmp_path: Path) -> None:
    services: list[Service] = []

    def start() -> Service:
        services.append(Service(localcloud, tmp_path, len(services)))
        return services[-1]

    try:
        first = start()
        wait_for(lambda: first.count("sent") >= 100, "events that go straight to the hub")
        localcloud.kill()
        gone = time.monotonic()
        wait_for(lambda: first.count("kept") >= 200, "events on disk")
        first.kill()
        # It finds the hub gone at its start, and what the first one has left.
        second = start()
        wait_for(lambda: second.count("kept") >= 200, "events on disk, of the second process")
        wait_for(lambda: time.monotonic() - gone >= OUTAGE_S, "the end of the outage", OUTAGE_S + 60)
        localcloud.start()
        wait_for(lambda: second.accepted[-1][1] == "sent", "events that go straight to the hub again")
        second.kill()
    finally:
        for service in services:
            service.kill()
    asyncio.run(empty(localcloud, tmp_path / "outbox.db"))

    found: dict[str, list[int]] = defaultdict(list)
    for partition in asyncio.run(read_all(localcloud)):
        for _, value in partition:
            event = decode(value)
            found[event.partition_key].append(int(event.id.rpartition("-")[2]))
    accepted = {id_ for service in services for id_, _ in service.accepted}
    there = {f"e-{user.removeprefix('user-')}-{number}" for user, seen in found.items() for number in seen}
    assert len(accepted) >= 500
    assert accepted <= there
    for user, seen in found.items():
        once = list(dict.fromkeys(seen))
        assert once == sorted(once), user
        assert seen[-1] == max(seen), user
