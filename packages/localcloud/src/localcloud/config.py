"""Entities of the local namespace, read from the official emulators' `Config.json`.

The Event Hubs emulator's schema knows names, partition counts and consumer groups. localcloud also understands
an optional `Properties` object beside them, in a second file that is laid over the first, so that the official
file stays valid for Microsoft's emulator:

    {"Name": "songs", "Properties": {"CleanupPolicy": "Compact", "RetentionInHours": 24, "TimestampType": "AppendTime"}}

`CaptureDescription` among them turns Event Hubs Capture on (see `capture.declaration`). `AuthorizationRules` are keys
of the hub with rights of their own, or beside `Entities` those of the namespace:

    {"KeyName": "shop", "PrimaryKey": "…", "Rights": ["Send"]}
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from localcloud.authorization_rule import AuthorizationRule, too_many
from localcloud.capture.declaration import CaptureConfig, CaptureDescriptionError, capture_config
from localcloud.unreadable import UNREADABLE

HOUR_MS = 3_600_000
DEFAULT_RETENTION_MS = 168 * HOUR_MS
DEFAULT_NAMESPACE = "localcloud"
HUB_NAME = "[A-Za-z0-9_]([A-Za-z0-9._-]{0,254}[A-Za-z0-9_])?"
_GROUP_NAME = "[A-Za-z0-9_]([A-Za-z0-9._-]{0,48}[A-Za-z0-9_])?"


class HubConfig(msgspec.Struct, frozen=True):
    """One event hub.

    `consumer_groups` are the declared ones (`$Default` is implicit). `retention_ms` is how long events are kept,
    None for ever; a compacted hub keeps the last event of each partition key instead. With `append_time` Kafka readers
    see when the hub took a record; else what its sender says. `namespace` and `capture` are for the files of Capture;
    None where the hub is not captured.
    """

    name: str
    partitions: int
    consumer_groups: tuple[str, ...] = ()
    compacted: bool = False
    retention_ms: int | None = DEFAULT_RETENTION_MS
    append_time: bool = False
    namespace: str = DEFAULT_NAMESPACE
    capture: CaptureConfig | None = None
    authorization_rules: tuple[AuthorizationRule, ...] = ()


class ConfigError(Exception):
    """A declaration of entities can't be used. The message names the file, what it saw and what it expects."""


class _ConsumerGroup(msgspec.Struct, rename="pascal"):
    name: Annotated[str, msgspec.Meta(pattern=rf"^(\$[Dd]efault|{_GROUP_NAME})\Z")]


class _Properties(msgspec.Struct, rename="pascal"):
    cleanup_policy: Literal["Delete", "Compact"] | None = None
    retention_in_hours: Annotated[int, msgspec.Meta(ge=1)] | None = None
    retention_in_seconds: Annotated[int, msgspec.Meta(ge=1)] | None = None
    timestamp_type: Literal["AppendTime", "CreateTime"] | None = None
    capture_description: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    authorization_rules: tuple[AuthorizationRule, ...] | None = None


class _Entity(msgspec.Struct, rename="pascal"):
    name: Annotated[str, msgspec.Meta(pattern=rf"^{HUB_NAME}\Z")]
    partition_count: Annotated[int, msgspec.Meta(ge=1, le=2000)] | None = None
    consumer_groups: list[_ConsumerGroup] = []
    properties: _Properties | None = None


class _HubNamespace(msgspec.Struct, rename="pascal"):
    entities: list[_Entity]
    name: str | None = None
    authorization_rules: tuple[AuthorizationRule, ...] = ()


class _HubUserConfig(msgspec.Struct, rename="pascal"):
    namespace_config: list[_HubNamespace] = []


class _HubDocument(msgspec.Struct, rename="pascal"):
    user_config: _HubUserConfig


def read_hubs(files: Sequence[Path]) -> list[HubConfig]:
    """The hubs that `files` declare, a later file's word on a hub laid over an earlier one's.

    A hub needs a `PartitionCount` in one of them; raises ConfigError.
    """
    hubs: dict[str, HubConfig] = {}
    for file in files:
        for namespace in _namespaces(file):
            for entity in namespace.entities:
                key = entity.name.lower()
                hubs[key] = _merged(file, namespace.name, entity, hubs.get(key))
    return list(hubs.values())


def read_hub_rules(files: Sequence[Path]) -> tuple[AuthorizationRule, ...]:
    """The keys of the namespace that `files` declare; a later file's word on a key stands. Raises ConfigError."""
    found = {rule.key_name: rule for file in files for one in _namespaces(file) for rule in one.authorization_rules}
    return checked_rules(", ".join(map(str, files)), found.values())


def checked_rules(where: str, rules: Iterable[AuthorizationRule]) -> tuple[AuthorizationRule, ...]:
    """`rules`, which stand in `where`. Raises ConfigError."""
    found = tuple(rules)
    wrong = next(
        (
            f"AuthorizationRules have {rule.key_name!r} without KeyName or PrimaryKey; expected both"
            for rule in found
            if not _is_keyed(rule)
        ),
        too_many(found),
    )
    if wrong is not None:
        raise ConfigError(f"{where}: {wrong}")
    return found


def _is_keyed(rule: AuthorizationRule) -> bool:
    return bool(rule.key_name and rule.primary_key)


def with_capture_interval(hub: HubConfig, interval_s: int | None) -> HubConfig:
    """The hub with windows of that length where it is captured; None: as it is declared."""
    if interval_s is None or hub.capture is None:
        return hub
    return msgspec.structs.replace(hub, capture=msgspec.structs.replace(hub.capture, interval_s=interval_s))


def _namespaces(file: Path) -> list[_HubNamespace]:
    try:
        document = msgspec.json.decode(file.read_bytes(), type=_HubDocument)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; expected a Config.json of the Event Hubs emulator") from None
    except UNREADABLE as error:
        raise ConfigError(f"{file}: {error}; expected the shape of the Event Hubs emulator's Config.json") from None
    return document.user_config.namespace_config


def _merged(file: Path, namespace: str | None, entity: _Entity, below: HubConfig | None) -> HubConfig:
    partitions = entity.partition_count or (below.partitions if below else None)
    if partitions is None:
        raise ConfigError(f"{file}: hub {entity.name} has no PartitionCount; expected 1 to 2000")
    properties = entity.properties or _Properties()
    seconds = properties.retention_in_seconds or 3_600 * (properties.retention_in_hours or 0)
    compacted = properties.cleanup_policy == "Compact" if properties.cleanup_policy else bool(below and below.compacted)
    kind = properties.timestamp_type
    append_time = kind == "AppendTime" if kind else bool(below and below.append_time)
    capture = _capture(file, entity.name, properties, below)
    if capture and compacted:
        raise ConfigError(
            f"{file}: hub {entity.name}: CleanupPolicy is Compact; expected Delete where CaptureDescription is "
            "enabled: compaction takes events away, captured or not"
        )
    return HubConfig(
        name=below.name if below else entity.name,
        partitions=partitions,
        consumer_groups=tuple(group.name for group in entity.consumer_groups)
        or (below.consumer_groups if below else ()),
        compacted=compacted,
        retention_ms=1_000 * seconds if seconds else below.retention_ms if below else DEFAULT_RETENTION_MS,
        append_time=append_time,
        namespace=namespace or (below.namespace if below else DEFAULT_NAMESPACE),
        capture=capture,
        authorization_rules=checked_rules(f"{file}: hub {entity.name}", _rules(properties, below)),
    )


def _rules(properties: _Properties, below: HubConfig | None) -> tuple[AuthorizationRule, ...]:
    """A file's rules stand for the whole of an earlier one's."""
    if properties.authorization_rules is None:
        return below.authorization_rules if below else ()
    return properties.authorization_rules


def _capture(file: Path, hub: str, properties: _Properties, below: HubConfig | None) -> CaptureConfig | None:
    """A file's description stands for the whole of an earlier one's."""
    if properties.capture_description is msgspec.UNSET:
        return below.capture if below else None
    try:
        return capture_config(bytes(properties.capture_description))
    except CaptureDescriptionError as error:
        raise ConfigError(f"{file}: hub {hub}: {error}") from None
