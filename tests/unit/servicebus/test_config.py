"""Declared entities, and the errors of a declaration."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.__main__ import default_config
from localcloud.config import BadConfig
from localcloud.servicebus.config import read_namespace
from localcloud.servicebus.entities import CorrelationFilter, SqlFilter


def write(path: Path, namespace: dict[str, object]) -> Path:
    path.write_text(json.dumps({"UserConfig": {"Namespaces": [namespace]}}))
    return path


def test_the_products_own() -> None:
    (queue,) = read_namespace(default_config("servicebus")).queues
    assert queue.name == "song-commands"
    properties = queue.properties
    assert properties.requires_duplicate_detection
    assert properties.dead_lettering_on_message_expiration
    assert properties.duplicate_detection_history_time_window == timedelta(minutes=5)
    assert properties.max_message_size_in_kilobytes == 102_400


def test_the_official_file_fits_microsofts_emulator() -> None:
    """Its limits: "Overview of the Azure Service Bus emulator", section "Usage quotas"."""
    official = json.loads(default_config("servicebus")[0].read_text())["UserConfig"]
    (namespace,) = official["Namespaces"]
    assert namespace["Name"] == "sbemulatorns"
    (queue,) = read_namespace(default_config("servicebus")[:1]).queues
    properties = queue.properties
    assert timedelta(minutes=5) <= properties.default_message_time_to_live <= timedelta(hours=1)
    assert timedelta(seconds=5) <= properties.lock_duration <= timedelta(minutes=5)
    assert timedelta(seconds=5) <= properties.duplicate_detection_history_time_window <= timedelta(minutes=5)
    assert 1 <= properties.max_delivery_count <= 10
    assert set(namespace["Queues"][0]["Properties"]) == {
        "DeadLetteringOnMessageExpiration",
        "DefaultMessageTimeToLive",
        "DuplicateDetectionHistoryTimeWindow",
        "ForwardDeadLetteredMessagesTo",
        "ForwardTo",
        "LockDuration",
        "MaxDeliveryCount",
        "RequiresDuplicateDetection",
        "RequiresSession",
    }


def test_rules_and_overlays(tmp_path: Path) -> None:
    rules = [
        {"Name": "s", "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "a = 1"}}},
        {
            "Name": "c",
            "Properties": {"FilterType": "Correlation", "CorrelationFilter": {"ContentType": "x", "Label": "l"}},
        },
    ]
    below = write(
        tmp_path / "below.json",
        {"Topics": [{"Name": "T", "Subscriptions": [{"Name": "s", "Rules": rules}, {"Name": "all"}]}]},
    )
    above = write(
        tmp_path / "above.json",
        {"Topics": [{"Name": "t", "Subscriptions": [{"Name": "S", "Properties": {"MaxDeliveryCount": 3}}]}]},
    )
    (topic,) = read_namespace([below, above]).topics
    first, second = topic.subscriptions
    assert topic.name == "T"
    assert first.properties.max_delivery_count == 3
    assert [rule.filter for rule in first.rules] == [
        SqlFilter("a = 1"),
        CorrelationFilter(content_type="x", label="l"),
    ]
    assert [rule.name for rule in second.rules] == ["$Default"]


@pytest.mark.parametrize(
    ("queue", "complaint"),
    [
        ({"Name": "a b"}, "a b"),
        ({"Name": "q", "Properties": {"LockDuraton": "PT1M"}}, "LockDuraton"),
        ({"Name": "q", "Properties": {"LockDuration": "PT6M"}}, "at most 5 minutes"),
        ({"Name": "q", "Properties": {"LockDuration": "a minute"}}, "LockDuration"),
        ({"Name": "q", "Properties": {"MaxDeliveryCount": 0}}, "MaxDeliveryCount"),
        ({"Name": "q", "Properties": {"MaxMessageSizeInKilobytes": 102_401}}, "102400"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, queue: dict[str, object], complaint: str) -> None:
    file = write(tmp_path / "c.json", {"Queues": [queue]})
    with pytest.raises(BadConfig, match=complaint) as caught:
        read_namespace([file])
    assert str(file) in str(caught.value)


def test_a_wrong_rule_is_named(tmp_path: Path) -> None:
    rule = {"Name": "r", "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "a ="}}}
    topic = {"Name": "t", "Subscriptions": [{"Name": "s", "Rules": [rule]}]}
    with pytest.raises(BadConfig, match="rule r: the SQL expression"):
        read_namespace([write(tmp_path / "c.json", {"Topics": [topic]})])


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="No such file"):
        read_namespace([tmp_path / "none.json"])
