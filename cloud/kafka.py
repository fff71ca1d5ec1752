"""Kafka clients with the settings that Event Hubs' Kafka endpoint needs.

Source: the Event Hubs for Apache Kafka configuration guide. Azure's load balancer drops a connection that was
idle for 240 s, so clients must close it and refresh their metadata before that.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider

from songline.cloud.credentials import entra
from songline.cloud.settings import EventHubsSettings
from songline.cloud.tls import client_context

Client = TypeVar("Client", AIOKafkaConsumer, AIOKafkaProducer)

IDLE_LIMIT_MS = 240_000
MAX_REQUEST_LIMIT = 1_046_528

CONNECTIONS_MAX_IDLE_MS = 180_000
METADATA_MAX_AGE_MS = 180_000
MAX_REQUEST_SIZE = 1_000_000
SESSION_TIMEOUT_MS = 30_000
HEARTBEAT_INTERVAL_MS = 3_000
REQUEST_TIMEOUT_MS = 60_000


class EntraToken(AbstractTokenProvider):  # type: ignore[misc] # aiokafka has no types
    """A token of Microsoft Entra for the namespace. Source: Event Hubs for Apache Kafka, OAuth 2.0."""

    def __init__(self, host: str) -> None:
        self._credential = entra()
        self._scope = f"https://{host}/.default"

    async def token(self) -> str:
        return (await self._credential.get_token(self._scope)).token


def tls(settings: EventHubsSettings) -> SSLContext | None:
    """The TLS context of the wire, None for an emulator's plain one."""
    return None if settings.plaintext else client_context(settings.authorities)


def client_options(settings: EventHubsSettings) -> dict[str, Any]:
    """Options of an `aiokafka` consumer or producer: the connection string, or Entra tokens where there is none."""
    options = {
        "bootstrap_servers": settings.kafka,
        "security_protocol": "SASL_PLAINTEXT" if settings.plaintext else "SASL_SSL",
        "ssl_context": tls(settings),
        "connections_max_idle_ms": CONNECTIONS_MAX_IDLE_MS,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
    }
    if settings.connection is None:
        return {**options, "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": EntraToken(settings.host)}
    return {
        **options,
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "$ConnectionString",
        "sasl_plain_password": settings.connection.reveal(),
    }


def producer(settings: EventHubsSettings, **options: Any) -> AIOKafkaProducer:
    """A producer, not started, whose records are acknowledged when they can't be lost any more; `options` go to its
    constructor. It tries a record for `request_timeout_ms`, REQUEST_TIMEOUT_MS by default, then raises KafkaError."""
    defaults = {"acks": "all", "max_request_size": MAX_REQUEST_SIZE, "request_timeout_ms": REQUEST_TIMEOUT_MS}
    return AIOKafkaProducer(**client_options(settings), **defaults | options)


@asynccontextmanager
async def running(client: Client) -> AsyncIterator[Client]:
    """A consumer or a producer, started, while the context lasts. One that can't start is stopped too: `async with` of
    aiokafka leaves its connections and tasks open. Raises KafkaError."""
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


async def partitions_of_hubs(consumer: AIOKafkaConsumer) -> dict[str, int]:
    """How many partitions each hub has that the namespace names now. Raises KafkaError.

    The client's own memory does not say that a question was not answered: it has no partition of a hub then.
    """
    cluster = await consumer._client.fetch_all_metadata()
    return {hub: len(cluster.partitions_for_topic(hub) or ()) for hub in cluster.topics()}


def unsafe(options: Mapping[str, int | None]) -> list[str]:
    """What in a Kafka client's settings breaks on Event Hubs, a sentence each; empty when all is safe.

    Known keys: connections_max_idle_ms, metadata_max_age_ms, max_request_size, session_timeout_ms,
    request_timeout_ms. Limits are those of the configuration guide.
    """
    findings = []
    for name in ("connections_max_idle_ms", "metadata_max_age_ms"):
        value = options.get(name)
        if value is not None and value >= IDLE_LIMIT_MS:
            findings.append(f"{name} is {value}; Azure drops idle connections at {IDLE_LIMIT_MS}: use 180000")
    size = options.get("max_request_size")
    if size is not None and size > MAX_REQUEST_LIMIT:
        findings.append(f"max_request_size is {size}; over {MAX_REQUEST_LIMIT} the service hangs up: use 1000000")
    session = options.get("session_timeout_ms")
    if session is not None and not 6_000 <= session <= 300_000:
        findings.append(f"session_timeout_ms is {session}; the service takes 6000 to 300000: use 30000")
    request = options.get("request_timeout_ms")
    if request is not None and request < 20_000:
        findings.append(f"request_timeout_ms is {request}; throttled requests take longer: use 60000")
    return findings
