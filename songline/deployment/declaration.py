"""Everything that Azure has to have, as one value: what `infra/azure/declaration.json` holds, and Bicep reads.

Hubs, groups and queues come from the files that localcloud and Microsoft's emulators read, containers from the modules
that use them, rights from `access`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from songline.deployment.access import PROCESSES
from songline.processes import emulator_files
from songline.processes.entities import CONTAINERS
from songline.schemas import channels
from songline.schemas.decoding import Decoder

RETENTION_H: Mapping[str, int] = {channels.MUSIC_EVENTS: 168, channels.NOW_PLAYING: 1}
"""Hours for which a hub keeps events, where the emulators' files don't say: a week is the most that Standard has."""

TOMBSTONE_RETENTION_H = 24
"""For how long a compacted hub keeps the record that deletes a key."""

COMMAND_TIME_TO_LIVE = "P14D"
"""The emulator lets no message live longer than an hour. On Azure a command outlives a weekend without workers."""

_json = Decoder(dict[str, Any], "not-a-declaration")


class CaptureDeclaration(Struct, frozen=True, rename="camel"):
    """Event Hubs Capture of a hub into the blob container `container`."""

    interval_s: int
    size_limit_bytes: int
    container: str
    name_format: str


class HubDeclaration(Struct, frozen=True, rename="camel"):
    """A hub. `retention_h` is None where it is compacted. `timestamp`: what Kafka readers see as a record's time."""

    name: str
    partitions: int
    groups: tuple[str, ...]
    compacted: bool
    retention_h: int | None
    timestamp: Literal["LogAppend", "Create"]
    capture: CaptureDeclaration | None


class QueueOnAzure(Struct, frozen=True, rename="camel"):
    """A queue of Service Bus; durations are as ISO 8601 has them. `max_message_kb` counts in the tier Premium."""

    name: str
    lock_duration: str
    max_deliveries: int
    duplicates_window: str
    time_to_live: str
    expired_are_kept: bool
    max_message_kb: int


class ContainerDeclaration(Struct, frozen=True, rename="camel"):
    """A container of Cosmos DB. `ttl_s`: -1 where documents stay."""

    name: str
    partition_key: str
    indexed: tuple[str, ...]
    ttl_s: int


class Right(Struct, frozen=True):
    """`process` has `role` in `on`, the name of a hub, a queue or a container, or `access.EVERYTHING`."""

    process: str
    on: str
    role: str


class AzureDeclaration(Struct, frozen=True, rename="camel"):
    """All that the infrastructure declares."""

    hubs: tuple[HubDeclaration, ...]
    queues: tuple[QueueOnAzure, ...]
    database: str
    containers: tuple[ContainerDeclaration, ...]
    blob_containers: tuple[str, ...]
    processes: tuple[str, ...]
    hub_rights: tuple[Right, ...]
    queue_rights: tuple[Right, ...]
    container_rights: tuple[Right, ...]
    blob_rights: tuple[Right, ...]


def declare() -> AzureDeclaration:
    """What the code needs, put together."""
    return AzureDeclaration(
        hubs=tuple(_hubs()),
        queues=tuple(_queues()),
        database=channels.DATABASE,
        containers=tuple(
            ContainerDeclaration(one.name, one.partition_key, one.indexed, -1 if one.ttl is None else one.ttl)
            for one in CONTAINERS
        ),
        blob_containers=channels.BLOB_CONTAINERS,
        processes=tuple(PROCESSES),
        hub_rights=tuple(
            Right(name, hub, role)
            for name, may in PROCESSES.items()
            for hub, roles in may.hubs.items()
            for role in roles
        ),
        queue_rights=tuple(
            Right(name, queue, role)
            for name, may in PROCESSES.items()
            for queue, roles in may.queues.items()
            for role in roles
        ),
        container_rights=tuple(
            Right(name, container, role)
            for name, may in PROCESSES.items()
            for container, role in may.containers.items()
        ),
        blob_rights=tuple(
            Right(name, container, role) for name, may in PROCESSES.items() for container, role in may.blobs.items()
        ),
    )


def encoded() -> str:
    """The text of `infra/azure/declaration.json`."""
    return msgspec.json.format(msgspec.json.encode(declare()), indent=2).decode("latin-1") + "\n"


def _hubs() -> Iterator[HubDeclaration]:
    official, ours = (_read(path)["UserConfig"]["NamespaceConfig"][0] for path in emulator_files.files("eventhubs"))
    more = {entity["Name"]: entity["Properties"] for entity in ours["Entities"]}
    for entity in official["Entities"]:
        name = entity["Name"]
        properties = more.get(name, {})
        compacted = properties.get("CleanupPolicy") == "Compact"
        yield HubDeclaration(
            name=name,
            partitions=entity["PartitionCount"],
            groups=tuple(group["Name"] for group in entity.get("ConsumerGroups", ())),
            compacted=compacted,
            retention_h=None if compacted else properties.get("RetentionInHours") or RETENTION_H[name],
            timestamp="LogAppend" if properties.get("TimestampType") == "AppendTime" else "Create",
            capture=_capture(properties.get("CaptureDescription")),
        )


def _capture(description: Mapping[str, Any] | None) -> CaptureDeclaration | None:
    if description is None:
        return None
    where = description["Destination"]["Properties"]
    return CaptureDeclaration(
        description["IntervalInSeconds"],
        description["SizeLimitInBytes"],
        where["BlobContainer"],
        where["ArchiveNameFormat"],
    )


def _queues() -> Iterator[QueueOnAzure]:
    official, ours = (_read(path)["UserConfig"]["Namespaces"][0] for path in emulator_files.files("servicebus"))
    more = {queue["Name"]: queue["Properties"] for queue in ours["Queues"]}
    for queue in official["Queues"]:
        properties = queue["Properties"]
        yield QueueOnAzure(
            name=queue["Name"],
            lock_duration=properties["LockDuration"],
            max_deliveries=properties["MaxDeliveryCount"],
            duplicates_window=properties["DuplicateDetectionHistoryTimeWindow"],
            time_to_live=COMMAND_TIME_TO_LIVE,
            expired_are_kept=properties["DeadLetteringOnMessageExpiration"],
            max_message_kb=more[queue["Name"]]["MaxMessageSizeInKilobytes"],
        )


def _read(path: Path) -> dict[str, Any]:
    return _json.decode(path.read_bytes())
