"""What is the case: the outcome of every question that the doctor asks."""

from collections.abc import Mapping

from msgspec import Struct


class Failure(Struct, frozen=True):
    """A question that got no answer, and why."""

    reason: str


class Missing(Struct, frozen=True):
    """What was asked for is not there."""


class Stored(Struct, frozen=True):
    """A container as it is: its partition key path and the paths that it indexes."""

    partition_key: str
    indexed: tuple[str, ...]


class Facts(Struct, frozen=True, kw_only=True):
    """`hubs`: partitions by hub, asked over AMQP. `topics`: the same over Kafka, for every hub of the namespace.
    `behind`: events that the trending worker's group has not read yet. `health`: by service, None where its address
    is not known and "" where it is well. `options`: the worker's Kafka client settings. `skew`: seconds that this
    machine's clock is ahead of the service's.
    """

    hubs: Mapping[str, int | Missing] | Failure
    topics: Mapping[str, int] | Failure
    behind: int | Failure
    containers: Mapping[str, Stored | Missing] | Failure
    health: Mapping[str, str | None]
    options: Mapping[str, int | None] | Failure
    skew: float | Failure
