"""Gathers the facts from the services, with the SDKs and settings that the product uses."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any, Self, TypeVar, cast

import faust
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from azure.core.exceptions import AzureError
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError
from azure.eventhub.exceptions import EventHubError
from azure.servicebus import ServiceBusSubQueue
from azure.servicebus.exceptions import ServiceBusError
from msgspec import Struct

from songline.cloud import blobs, cosmos, eventhubs, servicebus
from songline.cloud.clock import measure_skew_s
from songline.cloud.concurrency import gather_or_cancel
from songline.cloud.extras import MissingExtraError, load
from songline.cloud.kafka import partitions_of_hubs
from songline.cloud.service_fault import ServiceFault, fault_of, is_denied
from songline.cloud.settings import (
    BlobSettings,
    CloudSettings,
    CosmosSettings,
    EventHubsSettings,
    ServiceBusSettings,
    SettingError,
    read_blobs,
    read_servicebus,
)
from songline.doctor.erasures import ask_erasures
from songline.doctor.facts import (
    ArchiveFacts,
    DeadLetterFacts,
    DoctorFacts,
    FailedQuestion,
    MissingEntity,
    StoredContainer,
    VersionFacts,
)
from songline.doctor.identity import ask_identity
from songline.doctor.projections import ask_versions
from songline.doctor.shelves import ask_shelves
from songline.doctor.sign_in import ask_sign_in
from songline.doctor.versions import ask_version_states, trending_group
from songline.processes.entities import CONTAINERS, QueueDeclaration
from songline.processes.environment import API, WORKERS
from songline.processes.vitals import report_in
from songline.processors.history.archive.errors import HistoryError
from songline.processors.runtime.parked_store import ParkedStore
from songline.processors.trending.config import TrendingConfig
from songline.processors.trending.faust import credentials
from songline.processors.trending.faust.settings import faust_settings
from songline.schemas import channels
from songline.schemas.errors import PoisonError
from songline.schemas.progress_report import ProgressReport

PATIENCE = 15.0
ARCHIVE_PATIENCE = 60.0
"""Files are listed by the thousand: an archive of years has a hundred pages."""
WHOLE_ARCHIVE_PATIENCE = 3_600.0
PEEKED = 50

T = TypeVar("T")


class DoctorSettings(Struct, frozen=True):
    """The settings of every service that the product needs."""

    cloud: CloudSettings
    servicebus: ServiceBusSettings
    blobs: BlobSettings

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`; raises SettingError."""
        return cls(CloudSettings.read(environ), read_servicebus(environ), read_blobs(environ))


async def gather(
    settings: DoctorSettings, environ: Mapping[str, str], clock: Callable[[], datetime], *, every_file: bool = False
) -> DoctorFacts:
    """The outcome of all checks, which run concurrently. A check without an answer in PATIENCE seconds fails; that of
    the archive may take longer, above all where `every_file` of it is looked at."""
    archive_s = WHOLE_ARCHIVE_PATIENCE if every_file else ARCHIVE_PATIENCE
    cloud = settings.cloud
    addresses = {"API": API, **{f"{name} worker": variable for name, variable in WORKERS.items()}}
    async with asyncio.TaskGroup() as group:
        start = group.create_task
        hubs = start(_within(_hubs(cloud.eventhubs)))
        containers = start(_within(_containers(cloud.cosmos)))
        versions = start(_within(ask_versions(cloud.cosmos)))
        states = start(_within(ask_version_states(cloud.cosmos)))
        kafka = start(_kafka(cloud.eventhubs, states))
        erasures = start(_within(ask_erasures(cloud.cosmos)))
        shelves = start(_within(ask_shelves(cloud.cosmos)))
        dead_letters = start(_within(_dead_letters(settings.servicebus)))
        queue = start(_within(_queue(settings.servicebus)))
        parked = start(_within(_parked(cloud.cosmos)))
        stored = start(_within(_blobs(settings.blobs)))
        archive = start(_within(_archive(settings, environ, clock(), every_file=every_file), archive_s))
        skew = start(_within(measure_skew_s(cloud.cosmos, clock, PATIENCE)))
        health = {name: start(_health(environ.get(variable))) for name, variable in addresses.items()}
        identity = start(ask_identity(environ, PATIENCE))
        signed_in = start(_within(ask_sign_in())) if _has_no_key(settings) else None
    topics, behind = kafka.result()
    return DoctorFacts(
        hubs=hubs.result(),
        topics=topics,
        behind=behind,
        containers=containers.result(),
        versions=versions.result(),
        states=states.result(),
        erasures=erasures.result(),
        shelves=shelves.result(),
        dead_letters=dead_letters.result(),
        parked=parked.result(),
        queue=queue.result(),
        blobs=stored.result(),
        archive=archive.result(),
        health={name: answer.result() for name, answer in health.items()},
        options=_options(cloud, environ),
        identity=identity.result(),
        sign_in=None if signed_in is None else signed_in.result(),
        skew=skew.result(),
    )


async def _within(question: Awaitable[T], patience_s: float = PATIENCE) -> T | FailedQuestion:
    try:
        async with asyncio.timeout(patience_s):
            return await question
    except TimeoutError:
        return FailedQuestion(f"no answer within {patience_s:g} s")
    except (
        *(AzureError, EventHubError, httpx.HTTPError, KafkaError, OSError, ValueError, PoisonError),
        *(HistoryError, MissingExtraError, SettingError),
    ) as error:
        return FailedQuestion(_words(error))


def _has_no_key(settings: DoctorSettings) -> bool:
    """Whether a service is opened by a token."""
    hubs, store = settings.cloud.eventhubs, settings.cloud.cosmos
    return None in (hubs.connection, store.key, settings.servicebus.connection, settings.blobs.connection)


async def _hubs(settings: EventHubsSettings) -> dict[str, int | MissingEntity]:
    counts = await gather_or_cancel(_partitions(settings, hub) for hub in channels.HUBS)
    return dict(zip(channels.HUBS, counts, strict=True))


async def _partitions(settings: EventHubsSettings, hub: str) -> int | MissingEntity:
    async with eventhubs.consumer(settings, hub, "$Default", retry_total=0) as client:
        try:
            return len(await client.get_partition_ids())
        except EventHubError as error:
            if fault_of(error) is ServiceFault.MISSING:
                return MissingEntity()
            raise


async def _kafka(
    settings: EventHubsSettings, states: Awaitable[VersionFacts | FailedQuestion]
) -> tuple[dict[str, int] | FailedQuestion, int | FailedQuestion]:
    group = trending_group(await states)
    options = {"bootstrap_servers": settings.kafka, **credentials.client(settings)}
    # Partitions are assigned by hand, so the client doesn't join the group and causes no rebalance.
    consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **options)
    with _captured_log("aiokafka") as lines:
        try:
            started = await _within(consumer.start())
            if isinstance(started, FailedQuestion):
                # The client only logs why the broker closed the connection, such as a wrong key.
                reason = FailedQuestion("; ".join([started.reason, *lines[-1:]]))
                return reason, reason
            topics = await _within(partitions_of_hubs(consumer))
            if isinstance(topics, FailedQuestion):
                return topics, topics
            return topics, await _within(_behind(consumer, topics.get(channels.MUSIC_EVENTS, 0)))
        finally:
            await consumer.stop()


async def _behind(consumer: AIOKafkaConsumer, partitions_of_events: int) -> int:
    if not partitions_of_events:
        raise UnknownTopicOrPartitionError(f"the namespace names no hub {channels.MUSIC_EVENTS}")
    partitions = [TopicPartition(channels.MUSIC_EVENTS, number) for number in range(partitions_of_events)]
    consumer.assign(partitions)
    first = await consumer.beginning_offsets(partitions)
    end = await consumer.end_offsets(partitions)
    behind = 0
    for partition in partitions:
        committed: int | None = await consumer.committed(partition)
        behind += end[partition] - (first[partition] if committed is None else committed)
    return behind


@contextmanager
def _captured_log(name: str) -> Iterator[list[str]]:
    """The errors that the logger `name` logs while the context lasts, without showing them."""
    messages: list[str] = []

    class ListHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, handler = logging.getLogger(name), ListHandler(logging.ERROR)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


async def _containers(settings: CosmosSettings) -> dict[str, StoredContainer | MissingEntity] | MissingEntity:
    """The containers of the product's database, which may be missing itself."""
    # `async with` reads the account and leaks its session if that fails. The first read does the same without a leak.
    client = cosmos.client(settings)
    try:
        if not await _has_database(client):
            return MissingEntity()
        return {container.name: await _container(client, container.name) for container in CONTAINERS}
    finally:
        await client.close()


async def _has_database(client: CosmosClient) -> bool:
    try:
        await client.get_database_client(channels.DATABASE).read()
    except CosmosResourceNotFoundError:
        return False
    except CosmosHttpResponseError as error:
        # An identity may have its role in containers alone.
        if not is_denied(error):
            raise
    return True


async def _container(client: CosmosClient, name: str) -> StoredContainer | MissingEntity:
    try:
        return _stored(await cosmos.container(client, channels.DATABASE, name).read())
    except CosmosResourceNotFoundError:
        return MissingEntity()


def _stored(properties: Mapping[str, Any]) -> StoredContainer:
    paths = properties["indexingPolicy"].get("includedPaths", [])
    return StoredContainer(
        partition_key=properties["partitionKey"]["paths"][0],
        # Cosmos DB adds its own `_etag` rule to every policy.
        indexed=tuple(path["path"] for path in paths if "_etag" not in path["path"]),
        # -1 means no time to live, except for documents that have their own.
        ttl=None if (ttl := properties.get("defaultTtl")) == -1 else ttl,
    )


async def _dead_letters(settings: ServiceBusSettings) -> DeadLetterFacts | MissingEntity:
    async with servicebus.client(settings, retry_total=0) as bus:
        queue = bus.get_queue_receiver(channels.SONG_COMMANDS, sub_queue=ServiceBusSubQueue.DEAD_LETTER)
        found = 0
        try:
            async with queue as receiver, aclosing(servicebus.peeked(receiver, PEEKED)) as messages:
                # A response may hold fewer messages than requested while there are more.
                async for _ in messages:
                    found += 1
                    if found == PEEKED:
                        break
        except ServiceBusError as error:
            if fault_of(error) is ServiceFault.MISSING:
                return MissingEntity()
            raise
    return DeadLetterFacts(found, more=found == PEEKED)


async def _parked(settings: CosmosSettings) -> int | MissingEntity:
    client = cosmos.client(settings)
    try:
        return await ParkedStore(cosmos.container(client, channels.DATABASE, channels.PARKED)).count()
    except CosmosResourceNotFoundError:
        return MissingEntity()
    finally:
        await client.close()


async def _queue(settings: ServiceBusSettings) -> QueueDeclaration | None:
    if settings.management is None:
        return None
    async with servicebus.administration(settings, retry_total=0) as admin:
        found = await admin.get_queue(channels.SONG_COMMANDS)
    # The service returns timedelta values. Only the values that a caller sets may be text.
    lock, window = (
        cast("timedelta", value) for value in (found.lock_duration, found.duplicate_detection_history_time_window)
    )
    return QueueDeclaration(
        lock=lock,
        deliveries=found.max_delivery_count or 0,
        duplicates=window if found.requires_duplicate_detection else None,
        expired_are_kept=bool(found.dead_lettering_on_message_expiration),
        sessions=bool(found.requires_session),
    )


async def _blobs(settings: BlobSettings) -> dict[str, bool]:
    async with blobs.client(settings, retry_total=0) as client:
        return {name: await client.get_container_client(name).exists() for name in channels.BLOB_CONTAINERS}


async def _archive(
    settings: DoctorSettings, environ: Mapping[str, str], now: datetime, *, every_file: bool
) -> ArchiveFacts:
    reading = cast("ModuleType", load("songline.doctor.archive_reading", "history"))
    facts: ArchiveFacts = await reading.read_archive_facts(
        environ, settings.cloud.eventhubs, settings.servicebus, now, every_file=every_file
    )
    return facts


def _options(settings: CloudSettings, environ: Mapping[str, str]) -> dict[str, int | None] | FailedQuestion:
    """The settings of the trending worker's Kafka clients, Faust's defaults included. Of the consumer's and the
    producer's value the greater one counts, because either is unsafe by itself."""
    try:
        conf = faust.App(channels.TRENDING_GROUP, **faust_settings(settings, TrendingConfig.read(environ))).conf
    except SettingError as error:
        return FailedQuestion(str(error))
    return {
        "connections_max_idle_ms": max(conf.consumer_connections_max_idle_ms, conf.producer_connections_max_idle_ms),
        "metadata_max_age_ms": max(conf.consumer_metadata_max_age_ms, conf.producer_metadata_max_age_ms),
        "max_request_size": conf.producer_max_request_size,
        "session_timeout_ms": int(conf.broker_session_timeout * 1000),
        "request_timeout_ms": int(conf.broker_request_timeout * 1000),
    }


async def _health(base: str | None) -> ProgressReport | str | None:
    """The process's report if it has one; else "" if it is ready, else the reason. None without an address."""
    if base is None:
        return None
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        for path in ("/health/progress", "/health/ready"):
            try:
                answer = await client.get(f"{base.removesuffix('/')}{path}")
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                return f"{base}{path}: {_words(error)}"
            if (report := report_in(answer)) is not None:
                return report
    return "" if answer.status_code == 200 else f"{base}{path} answered {answer.status_code}: {answer.text[:300]}"


def _words(error: Exception) -> str:
    """The error as one line: SDKs put the cause on the second or third."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()][:3]
    return f"{type(error).__name__}: {'; '.join(lines)}" if lines else type(error).__name__
