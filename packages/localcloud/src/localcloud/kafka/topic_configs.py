"""The configuration of a topic: what CreateTopics accepts, and what DescribeConfigs returns, also for the broker.

Three properties have an effect. The others of Kafka are accepted if their values are legal, so that tools that set them
work.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from kio.schema.describe_configs.v4.response import DescribeConfigsResourceResult, DescribeConfigsSynonym

from localcloud.config import DEFAULT_RETENTION_MS, HubConfig
from localcloud.kafka.primitives import i8
from localcloud.kafka.produce_handler import MAX_BATCH_BYTES
from localcloud.log.store import Hub

_BOOLEAN, _STRING, _INT, _LONG, _DOUBLE, _LIST = i8(1), i8(2), i8(3), i8(5), i8(6), i8(7)
_DYNAMIC_TOPIC_CONFIG, _DEFAULT_CONFIG = i8(1), i8(5)
_UNLIMITED: Final = "-1"


class InvalidTopicConfigError(ValueError):
    """A property is unknown, or its value is not one that it can have."""


class _Property(NamedTuple):
    kind: int
    is_legal: Callable[[str], bool]
    expected: str


def _whole(least: int, most: int = 2**63 - 1) -> _Property:
    def is_legal(text: str) -> bool:
        digits = text.removeprefix("-")
        return digits.isascii() and digits.isdigit() and len(digits) < 20 and least <= int(text) <= most

    return _Property(_INT if most < 2**31 else _LONG, is_legal, f"a whole number from {least} to {most}")


def _one_of(*values: str, kind: int = _STRING) -> _Property:
    return _Property(kind, lambda text: text in values, " or ".join(values))


def _is_fraction(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


_INT32: Final = 2**31 - 1
_FLAG: Final = _one_of("true", "false", kind=_BOOLEAN)
_KNOWN: Final[Mapping[str, _Property]] = {
    "cleanup.policy": _one_of("delete", "compact", "compact,delete", "delete,compact", kind=_LIST),
    "compression.type": _one_of("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"),
    "delete.retention.ms": _whole(0),
    "file.delete.delay.ms": _whole(0),
    "flush.messages": _whole(1),
    "flush.ms": _whole(0),
    "follower.replication.throttled.replicas": _Property(_LIST, lambda text: True, "a list"),
    "index.interval.bytes": _whole(0, _INT32),
    "leader.replication.throttled.replicas": _Property(_LIST, lambda text: True, "a list"),
    "local.retention.bytes": _whole(-2),
    "local.retention.ms": _whole(-2),
    "max.compaction.lag.ms": _whole(1),
    "max.message.bytes": _whole(0, _INT32),
    "message.downconversion.enable": _FLAG,
    "message.format.version": _Property(_STRING, lambda text: text[:1].isdigit(), "a version"),
    "message.timestamp.difference.max.ms": _whole(0),
    "message.timestamp.type": _one_of("CreateTime", "LogAppendTime"),
    "min.cleanable.dirty.ratio": _Property(_DOUBLE, _is_fraction, "a fraction from 0 to 1"),
    "min.compaction.lag.ms": _whole(0),
    "min.insync.replicas": _whole(1, _INT32),
    "preallocate": _FLAG,
    "remote.storage.enable": _FLAG,
    "retention.bytes": _whole(-1),
    "retention.ms": _whole(-1),
    "segment.bytes": _whole(14, _INT32),
    "segment.index.bytes": _whole(4, _INT32),
    "segment.jitter.ms": _whole(0),
    "segment.ms": _whole(1),
    "unclean.leader.election.enable": _FLAG,
}
_BROKER: Final[Mapping[str, int]] = {"auto.create.topics.enable": _BOOLEAN, "message.max.bytes": _INT}


def _plain(value: str, kind: int) -> str:
    """The value without what Kafka ignores: space around it and its parts, and the case of a flag."""
    if kind == _LIST:
        return ",".join(part.strip() for part in value.split(","))
    return value.strip().lower() if kind == _BOOLEAN else value.strip()


def hub_config(name: str, partitions: int, configs: Sequence[tuple[str, str | None]]) -> HubConfig:
    """The hub that a creation with those properties asks for. Raises `InvalidTopicConfigError`."""
    values: dict[str, str] = {}
    for key, value in configs:
        known = _KNOWN.get(key)
        if known is None:
            raise InvalidTopicConfigError(f"Unknown topic config name: {key[:100]!r}.")
        text = None if value is None else _plain(value, known.kind)
        if text is None or not known.is_legal(text):
            raise InvalidTopicConfigError(f"{key} is {str(value)[:100]!r}; expected {known.expected}.")
        values[key] = text
    retention_ms = int(values.get("retention.ms", DEFAULT_RETENTION_MS))
    return HubConfig(
        name,
        partitions,
        compacted="compact" in values.get("cleanup.policy", "delete"),
        retention_ms=retention_ms if retention_ms >= 0 else None,
        append_time=values.get("message.timestamp.type") == "LogAppendTime",
    )


_DEFAULTS: Final[Mapping[str, str]] = {
    "cleanup.policy": "delete",
    "retention.ms": str(DEFAULT_RETENTION_MS),
    "retention.bytes": _UNLIMITED,
    "max.message.bytes": str(MAX_BATCH_BYTES),
    "message.timestamp.type": "CreateTime",
    "compression.type": "producer",
    "min.insync.replicas": "1",
}


def topic_values(hub: Hub) -> dict[str, str]:
    config = hub.config
    return {
        **_DEFAULTS,
        "cleanup.policy": "compact" if config.compacted else "delete",
        "retention.ms": _UNLIMITED if config.retention_ms is None or config.compacted else str(config.retention_ms),
        "message.timestamp.type": "LogAppendTime" if config.append_time else "CreateTime",
    }


def broker_values(create_topics: bool) -> dict[str, str]:
    return {"auto.create.topics.enable": str(create_topics).lower(), "message.max.bytes": str(MAX_BATCH_BYTES)}


def described(name: str, value: str, *, synonyms: bool) -> DescribeConfigsResourceResult:
    """A property as DescribeConfigs returns it: with the topic's own value, or the default."""
    default = _DEFAULTS.get(name, value)
    own = value != default
    rows = [(value, _DYNAMIC_TOPIC_CONFIG)] if own else []
    rows.append((default, _DEFAULT_CONFIG))
    return DescribeConfigsResourceResult(
        name=name,
        value=value,
        read_only=name in _BROKER,
        config_source=rows[0][1],
        is_sensitive=False,
        synonyms=tuple(
            DescribeConfigsSynonym(name=name, value=each, source=source) for each, source in (rows if synonyms else ())
        ),
        config_type=i8(_BROKER[name] if name in _BROKER else _KNOWN[name].kind),
        documentation=None,
    )
