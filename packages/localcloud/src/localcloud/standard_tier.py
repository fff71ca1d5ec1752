"""The limits of the tier Standard, where a namespace is held to them.

Source: "Event Hubs quotas and limits" and "Service Bus quotas" (Microsoft Learn).
"""

from collections.abc import Iterable, Sequence
from typing import Final

from localcloud.config import ConfigError, HubConfig

HUBS: Final = 10
CONSUMER_GROUPS: Final = 20
PARTITIONS: Final = 32
RETENTION_MS: Final = 7 * 24 * 3_600_000
CONNECTIONS: Final = 5_000
"""Of clients, over AMQP and Kafka together in Event Hubs, and over AMQP in Service Bus."""


GROWS_NOT: Final = "A hub of the tier Standard keeps the partitions that it was made with."


class TierLimitError(Exception):
    """What was asked for is more than the tier has. The message says what was seen and what is expected."""


def check_hubs(hubs: Sequence[HubConfig]) -> None:
    """Raises ConfigError where the tier can't have these hubs."""
    try:
        for hub in hubs:
            check_hub(hub, ())
        check_count(len(hubs))
    except TierLimitError as error:
        raise ConfigError(f"{error}; without --like-azure there is no such limit") from None


def check_hub(hub: HubConfig, others: Iterable[str]) -> None:
    """Raises TierLimitError where the tier can't have `hub` beside the hubs named `others`."""
    check_count(len({*others, hub.name}))
    # `$Default` is one of them.
    groups = len({*hub.consumer_groups, "$Default"})
    if groups > CONSUMER_GROUPS:
        raise TierLimitError(f"hub {hub.name} has {groups} consumer groups; expected {CONSUMER_GROUPS} at most")
    if hub.partitions > PARTITIONS:
        raise TierLimitError(f"hub {hub.name} has {hub.partitions} partitions; expected {PARTITIONS} at most")
    if not hub.compacted and (hub.retention_ms is None or hub.retention_ms > RETENTION_MS):
        raise TierLimitError(f"hub {hub.name} keeps events for more than 7 days, which is the most here")


def check_count(hubs: int) -> None:
    """Raises TierLimitError."""
    if hubs > HUBS:
        raise TierLimitError(f"the namespace would have {hubs} hubs; expected {HUBS} at most")


class ConnectionCount:
    """Counts the connections of a namespace's clients. `most` is how many there may be; None: any number."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._open = 0

    def admit(self) -> bool:
        """Whether there is room for one more; then it is counted until `release`."""
        if self._most is not None and self._open >= self._most:
            return False
        self._open += 1
        return True

    def release(self) -> None:
        self._open -= 1
