"""How long a worker that was killed takes until its answers are fresh again, and how much of it after it owns its part
of the hub again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore
from msgspec import Struct

from bench.freshness_probes import ChartAges, Prober
from bench.running_system import RunningSystem
from songline.cloud import checkpoints
from songline.cloud.kafka import client_options
from songline.cloud.settings import CloudSettings, read_blobs
from songline.schemas.channels import (
    CATALOG_GROUP,
    CHECKPOINT_BLOBS,
    LIBRARY_GROUP,
    MUSIC_EVENTS,
    TRENDING_GROUP,
)

FRESH_S = {"library": 3.0, "catalog": 3.0, "trending": 2.0, "ingestion": 10.0}
"""A worker is fresh when what is acknowledged now is answered within so many seconds."""

GIVEN_UP_S = 120.0
_GROUPS = {"library": LIBRARY_GROUP, "catalog": CATALOG_GROUP}


class Recovery(Struct, frozen=True):
    """Seconds from SIGKILL until the worker was fresh, and until it owned all partitions; None where it owns none."""

    worker: str
    fresh_s: float
    owned_s: float | None

    @property
    def after_owned_s(self) -> float | None:
        return None if self.owned_s is None else max(0.0, self.fresh_s - self.owned_s)


async def recover(
    system: RunningSystem, worker: str, fresh: Callable[[float], bool], owners: Callable[[], Awaitable[frozenset[str]]]
) -> Recovery:
    """Kill the worker and wait. `fresh` says of the moment of the kill whether the worker has been fresh since, and
    `owners` who own its partitions. After GIVEN_UP_S it counts as fresh."""
    before = await owners()
    system.kill(worker)
    killed, owned_s = time.monotonic(), None
    while not fresh(killed) and time.monotonic() - killed < GIVEN_UP_S:
        if before and owned_s is None:
            now = await owners()
            if len(now) == len(before) and not now & before:
                owned_s = time.monotonic() - killed
        await asyncio.sleep(0.1)
    took = time.monotonic() - killed
    # An owner that was not seen in time came with the last answer at the latest.
    return Recovery(worker, took, owned_s if owned_s is not None or not before else took)


def prober_is_fresh(prober: Prober, within_s: float) -> Callable[[float], bool]:
    """Whether something that was sent after a moment was answered within so many seconds of its acknowledgement.

    Of what was acknowledged after the moment, the worker may have had it before: looking for its process takes time in
    which acknowledgements wait.
    """
    return lambda since: any(one.sent >= since and one.took_s <= within_s for one in prober.sightings)


def charts_are_fresh(charts: ChartAges, within_s: float) -> Callable[[float], bool]:
    """Whether the chart has grown more than for a moment after `since`, and was younger than that."""

    def fresh(since: float) -> bool:
        before = max((count for at, count in charts.counted if at <= since), default=0)
        # What was on its way when the worker was killed may still be written.
        grown = [at for at, count in charts.counted if at > since + 1 and count > before]
        return any(at >= grown[0] and age <= within_s for at, age in charts.ages) if len(grown) > 1 else False

    return fresh


async def nobody() -> frozenset[str]:
    """The owners of a worker that owns no partitions."""
    return frozenset()


class Owners:
    """Who own the partitions of the workers' groups: each partition with its owner, in one text."""

    def __init__(self, settings: CloudSettings, store: BlobCheckpointStore, admin: AIOKafkaAdminClient) -> None:
        self._namespace = settings.eventhubs.address
        self._store, self._admin = store, admin

    @classmethod
    def checkpoint_store(cls, environment: dict[str, str]) -> BlobCheckpointStore:
        return checkpoints.store(read_blobs(environment), CHECKPOINT_BLOBS)

    @classmethod
    def admin(cls, settings: CloudSettings) -> AIOKafkaAdminClient:
        options = client_options(settings.eventhubs)
        return AIOKafkaAdminClient(**options)

    def of(self, worker: str) -> Callable[[], Awaitable[frozenset[str]]]:
        """What asks for the owners of the partitions that `worker` reads."""
        if worker in _GROUPS:
            return lambda: self._claims(_GROUPS[worker])
        return self._members if worker == "trending" else nobody

    async def _claims(self, group: str) -> frozenset[str]:
        claims = await self._store.list_ownership(self._namespace, MUSIC_EVENTS, group)
        return frozenset(f"{one['partition_id']} {one['owner_id']}" for one in claims if one["owner_id"])

    async def _members(self) -> frozenset[str]:
        answers: list[Any] = await self._admin.describe_consumer_groups([TRENDING_GROUP])
        _, _, state, _, _, members, *_ = answers[0].groups[0]
        return frozenset(member[0] for member in members) if state == "Stable" else frozenset()
