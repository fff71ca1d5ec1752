"""The pump of a hand-over: writes a version's state to the hubs, to Blob Storage and to Cosmos DB; and removes one.

Its worker must not run: the version is not live yet, or not any more. A rebuild that was stopped would write beside it:
a `guard` is asked before each record is sent. Methods raise KafkaError, AzureError, and what the guard raises.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from azure.core.exceptions import ResourceNotFoundError
from azure.cosmos.aio import ContainerProxy
from azure.storage.blob.aio import ContainerClient

from songline.cloud import kafka
from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.http_transport import Guard
from songline.cloud.settings import EventHubsSettings
from songline.processors.trending.cells.chunks import encode_mark
from songline.processors.trending.cells.hour_marks import mark_key
from songline.processors.trending.cells.sealed_hours import SealedHours
from songline.processors.trending.handover import Hour, SavedValues, chunks_by_hour, hour_of, sealed_blocks
from songline.processors.trending.state_version import StateVersion
from songline.schemas.channels import (
    TRENDING_CELLS_CHANGELOG,
    TRENDING_PARTIALS,
    TRENDING_SHARDS_CHANGELOG,
    TRENDING_TOPS,
)
from songline.schemas.progress import Watermark, WatermarkDocument

_POLL_MS = 500
AT_ONCE = 8
"""Hours that are sealed at the same time."""


class _GuardedSender:
    """Sends records of changelogs, each once `guard` was asked."""

    def __init__(self, producer: AIOKafkaProducer, guard: Guard | None) -> None:
        self.producer = producer
        self._guard = guard

    async def check(self) -> None:
        """Return where something may be sent. Raises what the guard raises."""
        if self._guard is not None:
            await self._guard()

    async def send(self, changelog: str, partition: int, records: Iterable[tuple[bytes, bytes | None]]) -> int:
        """Send keys with values, None to remove one, to a partition; return how many once the hub has them all."""
        sent = []
        for key, value in records:
            await self.check()
            sent.append(await self.producer.send(changelog, value, key, partition))
        await asyncio.gather(*sent)
        return len(sent)


class StateWriter:
    """Writes the state of `version`: first all hours, then the shards, and how far the sources are in the end.

    `hours` is None for a system without Blob Storage: all hours go into the changelog.
    """

    def __init__(
        self,
        version: StateVersion,
        settings: EventHubsSettings,
        sender: _GuardedSender,
        hours: SealedHours | None,
        attempts: ContainerProxy,
    ) -> None:
        self._version = version
        self._settings = settings
        self._sender = sender
        self._hours = hours
        self._attempts = attempts

    async def write_chunks(self, chunks: Mapping[str, bytes | None]) -> None:
        """Write chunks of source partitions' flushes, by key. Those of one hour may come in several calls."""
        if self._hours is None:
            for key, chunk in chunks.items():
                await self._save(TRENDING_CELLS_CHANGELOG, hour_of(key)[0], {key: chunk})
            return
        left = iter(chunks_by_hour(chunks).items())

        async def seal(hours: SealedHours) -> None:
            for hour, some in left:
                await self._seal(hours, hour, some)

        await gather_or_cancel(seal(self._hours) for _ in range(AT_ONCE))

    async def finish(self, shards: Mapping[int, SavedValues], sources: Mapping[int, Watermark]) -> None:
        """Write what is to be saved of each shard, and how far each partition of `music-events` is applied: the worker
        goes on from there."""
        for number, values in shards.items():
            await self._save(TRENDING_SHARDS_CHANGELOG, number, values)
        partitions = {str(number): one for number, one in sorted(sources.items())}
        document = WatermarkDocument(id=self._version.positions, partitions=partitions)
        await self._attempts.upsert_item(msgspec.to_builtins(document), no_response=True)
        await self._pass_over_stages()

    async def _seal(self, hours: SealedHours, hour: Hour, chunks: list[bytes]) -> None:
        size_bytes = 0
        for block in sealed_blocks(chunks):
            try:
                size_bytes = await hours.add_block(*hour, block)
            except ResourceNotFoundError:
                await hours.make_container()
                size_bytes = await hours.add_block(*hour, block)
        await self._save(TRENDING_CELLS_CHANGELOG, hour[0], {mark_key(*hour): encode_mark(size_bytes)})

    async def _save(self, changelog: str, partition: int, values: Mapping[str, bytes | None]) -> None:
        records = ((self._version.with_prefix(key), value) for key, value in values.items())
        await self._sender.send(changelog, partition, records)

    async def _pass_over_stages(self) -> None:
        """Have the version's group begin at the ends of the hubs between the stages, which hold nothing of it."""
        options = {**kafka.client_options(self._settings), "group_id": self._version.group, "enable_auto_commit": False}
        async with kafka.running(AIOKafkaConsumer(**options)) as consumer:
            tps = await _partitions(self._sender.producer, (TRENDING_PARTIALS, TRENDING_TOPS))
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            await self._sender.check()
            await consumer.commit(ends)


@asynccontextmanager
async def open_state_writer(
    version: StateVersion,
    settings: EventHubsSettings,
    hours: ContainerClient | None,
    attempts: ContainerProxy,
    guard: Guard | None = None,
) -> AsyncIterator[StateWriter]:
    """A writer of the version's state, while the context lasts. The clients of `hours` and `attempts` ask the guard
    themselves."""
    sealed = None if hours is None else SealedHours(hours, version.prefix)
    async with kafka.running(kafka.producer(settings)) as producer:
        yield StateWriter(version, settings, _GuardedSender(producer, guard), sealed, attempts)


async def remove_state(
    version: StateVersion,
    settings: EventHubsSettings,
    hours: ContainerClient | None,
    attempts: ContainerProxy,
    guard: Guard | None = None,
) -> int:
    """Remove all that is saved of a version, and return how many records and sealed hours that were. The clients of
    `hours` and `attempts` ask the guard themselves.

    What it has sent between the stages goes with the retention of these hubs.
    """
    removed = 0
    async with kafka.running(kafka.producer(settings)) as producer:
        sender = _GuardedSender(producer, guard)
        for changelog in (TRENDING_CELLS_CHANGELOG, TRENDING_SHARDS_CHANGELOG):
            tps = await _partitions(producer, (changelog,))
            for partition, keys in (await _saved_keys(version, settings, tps)).items():
                removed += await sender.send(changelog, partition, ((key, None) for key in keys))
    if hours is not None:
        with suppress(ResourceNotFoundError):
            names = [one.name async for one in hours.list_blobs(name_starts_with=version.prefix)]
            for name in [one for one in names if version.owns_key(one.encode())]:
                await hours.delete_blob(name)
                removed += 1
    with suppress(ResourceNotFoundError):
        await attempts.delete_item(version.positions, version.positions)
    return removed


async def _saved_keys(
    version: StateVersion, settings: EventHubsSettings, tps: list[TopicPartition]
) -> dict[int, list[bytes]]:
    """The keys of a version that a changelog, of which these are all partitions, holds by partition."""
    found: dict[int, dict[bytes, None]] = {}
    options = {**kafka.client_options(settings), "auto_offset_reset": "earliest"}
    async with kafka.running(AIOKafkaConsumer(**options)) as consumer:
        consumer.assign(tps)
        ends: dict[Any, int] = await consumer.end_offsets(tps)
        while [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
            for tp, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                held = found.setdefault(tp.partition, {})
                for record in records:
                    if record.key is None or not version.owns_key(record.key):
                        continue
                    if record.value is None:
                        held.pop(record.key, None)
                    else:
                        held[record.key] = None
    return {partition: list(keys) for partition, keys in found.items()}


async def _partitions(producer: AIOKafkaProducer, hubs: Iterable[str]) -> list[TopicPartition]:
    return [TopicPartition(hub, number) for hub in hubs for number in sorted(await producer.partitions_for(hub))]
