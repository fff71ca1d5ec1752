"""What a namespace is opened with: hubs, queues, topics and containers, in a short form."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

Properties = Mapping[str, object]
"""Names and values as they stand in the emulators' `Config.json`."""


@dataclass(frozen=True, kw_only=True)
class Declarations:
    """What a namespace holds from the start.

    - `hubs`: name to partition count, or to all that `Config.json` says of a hub;
    - `queues`: names, or name to properties (`{"RequiresSession": True}`);
    - `topics`: name to names of subscriptions;
    - `containers`: `database/container` to the path of its partition key, or the paths of a hierarchical one;
    - `config`, `servicebus_config`: files in the form of the emulators' `Config.json`; what is declared here is laid
      over them;
    - `blobs`: with Blob Storage; `throttle`: Cosmos DB is held to its throughput; `create_topics`: Kafka clients create
      and delete hubs.
    """

    hubs: Mapping[str, int | Properties] | None = None
    queues: Iterable[str] | Mapping[str, Properties] | None = None
    topics: Mapping[str, Iterable[str]] | None = None
    containers: Mapping[str, str | Sequence[str]] | None = None
    config: Sequence[Path | str] | Path | str = ()
    servicebus_config: Sequence[Path | str] | Path | str = ()
    blobs: bool | None = None
    throttle: bool | None = None
    create_topics: bool | None = None

    def over(self, below: Self) -> Self:
        """These laid over others: names are joined, this one's word counts, files come after the other's."""
        return type(self)(
            hubs={**(below.hubs or {}), **(self.hubs or {})},
            queues={**_named(below.queues), **_named(self.queues)},
            topics={**(below.topics or {}), **(self.topics or {})},
            containers={**(below.containers or {}), **(self.containers or {})},
            config=[*_files(below.config), *_files(self.config)],
            servicebus_config=[*_files(below.servicebus_config), *_files(self.servicebus_config)],
            blobs=below.blobs if self.blobs is None else self.blobs,
            throttle=below.throttle if self.throttle is None else self.throttle,
            create_topics=below.create_topics if self.create_topics is None else self.create_topics,
        )

    def request(self) -> dict[str, object]:
        """The body of `POST /namespaces`. Raises OSError when a file can't be read, ValueError when it is no JSON."""
        hubs = [{"Name": name, **_hub(said)} for name, said in (self.hubs or {}).items()]
        queues = [{"Name": name, "Properties": dict(said)} for name, said in _named(self.queues).items()]
        topics = [
            {"Name": name, "Subscriptions": [{"Name": subscription} for subscription in subscriptions]}
            for name, subscriptions in (self.topics or {}).items()
        ]
        return {
            "config": [
                *map(_read, _files(self.config)),
                {"UserConfig": {"NamespaceConfig": [{"Entities": hubs}]}},
            ],
            "servicebus_config": [
                *map(_read, _files(self.servicebus_config)),
                {"UserConfig": {"Namespaces": [{"Queues": queues, "Topics": topics}]}},
            ],
            "blobs": bool(self.blobs),
            "throttle": bool(self.throttle),
            "create_topics": bool(self.create_topics),
        }

    @classmethod
    def check(cls, said: Mapping[str, Any], where: str) -> Self:
        """Those that keywords give. Raises TypeError, which names `where` and what is known."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(said.keys() - set(known))
        if unknown:
            raise TypeError(f"{where} has {', '.join(unknown)}; expected some of {', '.join(known)}")
        return cls(**said)


def _hub(said: int | Properties) -> Properties:
    return {"PartitionCount": said} if isinstance(said, int) else said


def _named(said: Iterable[str] | Mapping[str, Properties] | None) -> Mapping[str, Properties]:
    if isinstance(said, Mapping):
        return said
    return {name: {} for name in said or ()}


def _files(said: Sequence[Path | str] | Path | str) -> Sequence[Path | str]:
    return [said] if isinstance(said, Path | str) else said


def _read(file: Path | str) -> object:
    document: object = json.loads(Path(file).read_text(encoding="utf-8"))
    return document
