"""Who reads a partition for a consumer group: owner levels, and how many readers there may be at once.

A reader with an owner level (the "epoch" on the wire) has the partition for itself, until one with the same or a
higher level comes.
"""

from collections import defaultdict
from collections.abc import Hashable
from typing import Final, Protocol

from localcloud.amqp.errors import RESOURCE_LIMIT_EXCEEDED, STOLEN, AmqpError

MAX_READERS: Final = 5


class OwnedReader(Protocol):
    owner_level: int | None
    name: str

    def stop(self, error: AmqpError) -> None:
        """Tell the client, and leave."""


class PartitionReaders:
    """The readers of every partition and group, each pair of which has a `key`."""

    def __init__(self) -> None:
        self._readers: defaultdict[Hashable, list[OwnedReader]] = defaultdict(list)

    def enter(self, key: Hashable, newcomer: OwnedReader) -> None:
        """Let `newcomer` in, and stop those that have to make way. Raises AmqpError when it has to stay out."""
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
            reader.stop(
                AmqpError(
                    STOLEN,
                    f"New receiver '{newcomer.name}' with owner level (epoch) {level} is created, hence current "
                    f"receiver '{reader.name}' with {reader.owner_level} is getting disconnected.",
                )
            )

    def leave(self, key: Hashable, reader: OwnedReader) -> None:
        present = self._readers.get(key, [])
        if reader in present:
            present.remove(reader)
        if not present:
            self._readers.pop(key, None)
