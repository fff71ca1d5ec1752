"""The readers of each partition and consumer group: owner levels, and the greatest number of readers.

A reader with an owner level (the "epoch" on the wire) is the only one of its partition and group, until one with
the same or a higher level connects.
"""

from collections import defaultdict
from collections.abc import Hashable
from typing import Final, Protocol

from localcloud.amqp.errors import RESOURCE_LIMIT_EXCEEDED, STOLEN, AmqpError

MAX_READERS: Final = 5


class OwnedReader(Protocol):
    owner_level: int | None
    name: str

    def disconnect(self, error: AmqpError) -> None:
        """Detach the client's link with `error`."""


class PartitionReaders:
    """The readers of every partition and group, each pair of which has a `key`."""

    def __init__(self) -> None:
        self._readers: defaultdict[Hashable, list[OwnedReader]] = defaultdict(list)

    def add(self, key: Hashable, newcomer: OwnedReader) -> None:
        """Add `newcomer`, and disconnect the readers that it displaces. Raises AmqpError when it may not read."""
        present = self._readers[key]
        level = newcomer.owner_level
        owner = max((reader.owner_level for reader in present if reader.owner_level is not None), default=None)
        if owner is not None and (level is None or level < owner):
            has = "no owner level (epoch)" if level is None else f"the lower owner level (epoch) {level}"
            raise AmqpError(
                STOLEN,
                f"A receiver with owner level (epoch) {owner} is there; '{newcomer.name}' with {has} can't be created. "
                "Make sure you are creating receiver with increasing epoch value to ensure connectivity, or ensure "
                "all old epoch receivers are closed or disconnected.",
            )
        if level is None and len(present) >= MAX_READERS:
            raise AmqpError(
                RESOURCE_LIMIT_EXCEEDED,
                "Exceeded the maximum number of allowed receivers per partition in a consumer group, which is "
                f"{MAX_READERS}. Close one, use another consumer group, or give the receiver an owner level.",
            )
        leaving = list(present) if level is not None else []
        present.append(newcomer)
        for reader in leaving:
            reader.disconnect(
                AmqpError(
                    STOLEN,
                    f"New receiver '{newcomer.name}' with owner level (epoch) {level} is created, hence current "
                    f"receiver '{reader.name}' with {reader.owner_level} is getting disconnected.",
                )
            )

    def remove(self, key: Hashable, reader: OwnedReader) -> None:
        present = self._readers.get(key, [])
        if reader in present:
            present.remove(reader)
        if not present:
            self._readers.pop(key, None)
