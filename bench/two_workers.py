"""Two library workers on two halves of the partitions, beside one worker on all of them, over the same log."""

import asyncio
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from msgspec import Struct

from bench.acts import PARTITIONS, acts_in, fill, publish_at, simulated
from bench.charged import Tally, read_journal
from bench.contestants import RunningWorker, Today
from bench.measurement import Measurement
from songline.cloud import checkpoints
from songline.cloud.settings import read_blobs
from songline.schemas.channels import CHECKPOINT_BLOBS, LIBRARY_GROUP, MUSIC_EVENTS
from songline.schemas.envelope import Event
from tests.support.localcloud import LocalCloud

REGION = (
    "Inside: everything that the workers are charged from their start until all is applied: a log that is filled when "
    "each worker owns its half, then 500 events/s. That no position is applied by both is read from the batches "
    "themselves: each flush of a shelf is written by one of them, and goes on where the last one ended. The libraries "
    "are compared with the reference."
)

DEADLINE_S = 120.0
CLAIMS = 3
"""So often each partition is claimed by the same worker before the log is filled: the other one has asked for all
claims by then, and has closed what it lost."""
PACE = 500
"""Events a second behind the full log: a flush a second, for about a thousand batches."""


class Halves(Struct):
    """What so many workers took for the same log: charges, and the batches that each of them wrote."""

    tally: Tally
    journals: list[list[dict[str, Any]]]


def measure(quick: bool) -> list[Measurement]:
    full, seconds = (3_000, 4) if quick else (100_000, 240)
    log = simulated(full + PACE * seconds, 20_000)
    acts = acts_in(log)
    one, two = run(1, log[:full], log[full:]), run(2, log[:full], log[full:])
    shares = [len(journal) for journal in two.journals]
    assert min(shares) > 0, f"one worker wrote all: {shares}"
    assert_applied_once(two.journals)
    ru, alone = two.tally.charge / acts, one.tally.charge / acts
    return [
        Measurement(row=12, what="positions applied by both", figure=0, unit="positions", wanted="<= 0"),
        Measurement(
            row=12, what="writes that the other worker overtook", figure=100 * two.tally.conflicts / two.tally.batches,
            unit="% of batches", wanted="<= 0.1",
        ),
        Measurement(
            row=12, what="two workers", figure=ru, unit="RU an act", wanted="<= 1.1", ratio=ru / alone,
            peer="one worker", peer_figure=alone,
        ),
    ]  # fmt: skip


def run(workers: int, log: Sequence[Event], later: Sequence[Event]) -> Halves:
    """So many workers, each on its share of the partitions, over the full log, then with `later` at PACE."""
    with tempfile.TemporaryDirectory() as name:
        folder, today = Path(name), Today()
        cloud = LocalCloud(folder / "cloud", ["--blobs"]).start()
        running: list[RunningWorker] = []
        try:
            today.prepare(cloud)
            journals = [folder / f"{number}.journal" for number in range(workers)]
            running = [
                RunningWorker(today, cloud, folder, f"worker-{number}", journal)
                for number, journal in enumerate(journals)
            ]
            asyncio.run(_share(cloud, workers))
            fill(cloud.settings(), log)
            asyncio.run(running[0].wait_until_applied(len(log)))
            asyncio.run(publish_at(cloud.settings(), PACE, later))
            asyncio.run(running[0].wait_until_applied(len(log) + len(later)))
        finally:
            for worker in running:
                worker.end(signal.SIGTERM)
            try:
                if running:
                    today.check(cloud)
            finally:
                cloud.stop()
        tally = Tally()
        for worker in running:
            tally = tally.plus(worker.tally)
        return Halves(tally, [read_journal(journal) for journal in journals])


def assert_applied_once(journals: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Raise AssertionError if two workers applied the same position of a partition to a shelf.

    A flush of a shelf is known by its number. If no number is written twice, and what is applied only grows, then the
    positions of two flushes have nothing in common.
    """
    flushes = Counter((root["shelf"], root["flushes"]) for journal in journals for root in journal)
    assert max(flushes.values(), default=0) <= 1, [flush for flush, count in flushes.items() if count > 1][:5]
    by_shelf: dict[str, list[dict[str, Any]]] = {}
    for root in sorted((root for journal in journals for root in journal), key=lambda root: root["flushes"]):
        by_shelf.setdefault(root["shelf"], []).append(root)
    for roots in by_shelf.values():
        for before, after in pairwise(roots):
            for partition, position in before["applied"].items():
                assert after["applied"][partition] >= position, (before, after)


async def _share(cloud: LocalCloud, workers: int) -> None:
    """Wait until each of so many workers owns its share of the partitions, and has given up the others: one that lost
    a partition notices with its next claims, and writes what it reads until then."""
    namespace = cloud.settings().eventhubs.address
    deadline = time.monotonic() + DEADLINE_S
    seen: dict[tuple[str, str], set[str]] = {}
    async with checkpoints.store(read_blobs(cloud.environment), CHECKPOINT_BLOBS) as store:
        while True:
            claims = await store.list_ownership(namespace, MUSIC_EVENTS, LIBRARY_GROUP)
            owners = Counter(claim["owner_id"] for claim in claims if claim["owner_id"])
            if sorted(owners.values()) == [PARTITIONS // workers] * workers:
                owned = {(claim["partition_id"], claim["owner_id"]): claim["etag"] for claim in claims}
                seen = {one: {*seen.get(one, ()), etag} for one, etag in owned.items()}
                if all(len(etags) >= CLAIMS for etags in seen.values()):
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"the partitions are not shared out among {workers} workers: {owners}")
            await asyncio.sleep(0.5)
