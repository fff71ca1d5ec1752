"""The quotas of the tier Standard: what is declared and what is asked for later."""

from typing import Any

import msgspec
import pytest

from localcloud.config import ConfigError, HubConfig
from localcloud.servicebus.config import NamespaceConfig, QueueConfig
from localcloud.servicebus.entities import QueueDescription
from localcloud.servicebus.standard_limits import as_standard
from localcloud.standard_tier import ConnectionCount, TierLimitError, check_hub, check_hubs

DAY_MS = 86_400_000
HUB = HubConfig("orders", 4)


def hubs(count: int) -> list[HubConfig]:
    return [HubConfig(f"hub-{number}", 1) for number in range(count)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"partitions": 33}, "33 partitions"),
        ({"consumer_groups": tuple(f"g{number}" for number in range(20))}, "21 consumer groups"),
        ({"retention_ms": 7 * DAY_MS + 1}, "7 days"),
        ({"retention_ms": None}, "7 days"),
    ],
)
def test_a_hub_that_the_tier_can_not_have_is_refused(change: dict[str, Any], words: str) -> None:
    hub = msgspec.structs.replace(HUB, **change)
    with pytest.raises(TierLimitError, match=words):
        check_hub(hub, ())
    with pytest.raises(ConfigError, match=words):
        check_hubs([HUB, hub])


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"partitions": 32},
        {"consumer_groups": tuple(f"g{number}" for number in range(19))},
        {"consumer_groups": ("$Default", *(f"g{number}" for number in range(19)))},
        {"retention_ms": 7 * DAY_MS},
        {"compacted": True, "retention_ms": None},
    ],
)
def test_what_fits_is_taken(change: dict[str, Any]) -> None:
    check_hub(msgspec.structs.replace(HUB, **change), ())


def test_a_namespace_has_ten_hubs() -> None:
    check_hubs(hubs(10))
    with pytest.raises(ConfigError, match="11 hubs"):
        check_hubs(hubs(11))
    check_hub(HUB, (hub.name for hub in hubs(9)))
    with pytest.raises(TierLimitError, match="11 hubs"):
        check_hub(HUB, (hub.name for hub in hubs(10)))


def test_one_declaration_serves_both_tiers() -> None:
    large = QueueDescription(max_message_size_in_kilobytes=102_400)
    config = NamespaceConfig((QueueConfig("large", large), QueueConfig("small", QueueDescription())))
    found = [one.properties.max_message_size_in_kilobytes for one in as_standard(config).queues]
    assert found == [256, 256]


def test_clients_are_counted_until_they_go() -> None:
    count = ConnectionCount(2)
    assert [count.admit() for _ in range(3)] == [True, True, False]
    count.release()
    assert [count.admit() for _ in range(2)] == [True, False]
    assert all(ConnectionCount(None).admit() for _ in range(10_000))
