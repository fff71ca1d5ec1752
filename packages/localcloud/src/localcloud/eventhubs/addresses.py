"""The addresses of links.

orders                                          send: to the partition of the key, or any
orders/Partitions/2                             send: to that partition
orders/ConsumerGroups/$Default/Partitions/2     receive
"""

from dataclasses import dataclass

from localcloud.amqp.errors import NOT_FOUND, AmqpError
from localcloud.log.errors import UnknownHubError
from localcloud.log.partition import PartitionLog
from localcloud.log.store import Hub, LogStore


@dataclass(frozen=True, slots=True)
class SendAddress:
    hub: str
    partition: str | None

    @classmethod
    def parse(cls, path: str) -> "SendAddress":
        """Raises AmqpError (not found)."""
        match path.split("/"):
            case [hub]:
                return cls(hub, None)
            case [hub, kind, partition] if kind.lower() == "partitions":
                return cls(hub, partition)
        raise not_found(path)


@dataclass(frozen=True, slots=True)
class ReceiveAddress:
    hub: str
    group: str
    partition: str

    @classmethod
    def parse(cls, path: str) -> "ReceiveAddress":
        """Raises AmqpError (not found)."""
        match path.split("/"):
            case [hub, groups, group, kind, partition] if (groups.lower(), kind.lower()) == (
                "consumergroups",
                "partitions",
            ):
                return cls(hub, group.lower(), partition)
        raise not_found(path)


def find_hub(store: LogStore, name: str) -> Hub:
    """Raises AmqpError (not found)."""
    try:
        return store.hub(name)
    except UnknownHubError:
        raise not_found(name) from None


def check_path(store: LogStore, path: str) -> None:
    """Raises AmqpError (not found) for what lies in a hub that isn't there."""
    name = path.partition("/")[0]
    if name and not name.startswith("$"):
        find_hub(store, name)


def find_partition(hub: Hub, number: str) -> PartitionLog:
    """Raises AmqpError (not found)."""
    if number.isascii() and number.isdigit() and int(number[:9]) < len(hub.partitions):
        return hub.partitions[int(number[:9])]
    raise AmqpError(
        NOT_FOUND,
        f"The messaging entity '{hub.name}/Partitions/{number}' could not be found: "
        f"{hub.name} has the partitions 0 to {len(hub.partitions) - 1}.",
    )


def not_found(path: str) -> AmqpError:
    # The wording matters: Azure's JavaScript SDK knows the error by it.
    return AmqpError(NOT_FOUND, f"The messaging entity '{path}' could not be found.")
