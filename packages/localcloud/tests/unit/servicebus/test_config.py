"""Declared entities, and the errors of a declaration."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.config import ConfigError
from localcloud.servicebus.config import NamespaceConfig, read_namespace
from localcloud.servicebus.entities import CorrelationFilter, SqlFilter


def write(path: Path, namespace: dict[str, object]) -> Path:
    path.write_text(json.dumps({"UserConfig": {"Namespaces": [namespace]}}))
    return path


def test_a_queue_has_what_is_declared(tmp_path: Path) -> None:
    declared = {
        "DeadLetteringOnMessageExpiration": True,
        "DuplicateDetectionHistoryTimeWindow": "PT5M",
        "RequiresDuplicateDetection": True,
    }
    below = write(tmp_path / "below.json", {"Queues": [{"Name": "Jobs", "Properties": declared}]})
    larger = {"MaxMessageSizeInKilobytes": 102_400}
    above = write(tmp_path / "above.json", {"Queues": [{"Name": "jobs", "Properties": larger}]})
    (queue,) = read_namespace([below, above]).queues
    assert queue.name == "Jobs"
    properties = queue.properties
    assert properties.requires_duplicate_detection
    assert properties.dead_lettering_on_message_expiration
    assert properties.duplicate_detection_history_time_window == timedelta(minutes=5)
    assert properties.max_message_size_in_kilobytes == 102_400


def test_without_a_file_there_is_no_entity() -> None:
    assert read_namespace([]) == NamespaceConfig()


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
        ({"Name": "a\n"}, "is no entity name"),
        ({"Name": "news/subscriptions/all"}, "means a topic's subscription"),
        ({"Name": "q", "Properties": {"LockDuraton": "PT1M"}}, "LockDuraton"),
        ({"Name": "q", "Properties": {"LockDuration": "PT6M"}}, "at most 5 minutes"),
        ({"Name": "q", "Properties": {"LockDuration": "a minute"}}, "LockDuration"),
        ({"Name": "q", "Properties": {"MaxDeliveryCount": 0}}, "MaxDeliveryCount"),
        ({"Name": "q", "Properties": {"MaxMessageSizeInKilobytes": 102_401}}, "102400"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, queue: dict[str, object], complaint: str) -> None:
    file = write(tmp_path / "c.json", {"Queues": [queue]})
    with pytest.raises(ConfigError, match=complaint) as caught:
        read_namespace([file])
    assert str(file) in str(caught.value)


def test_a_queue_and_a_topic_have_two_names(tmp_path: Path) -> None:
    queues = write(tmp_path / "queues.json", {"Queues": [{"Name": "Orders"}]})
    topics = write(tmp_path / "topics.json", {"Topics": [{"Name": "orders"}]})
    with pytest.raises(ConfigError, match="orders is a queue and a topic"):
        read_namespace([queues, topics])


def test_a_wrong_rule_is_named(tmp_path: Path) -> None:
    rule = {"Name": "r", "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "a ="}}}
    topic = {"Name": "t", "Subscriptions": [{"Name": "s", "Rules": [rule]}]}
    with pytest.raises(ConfigError, match="rule r: the SQL expression"):
        read_namespace([write(tmp_path / "c.json", {"Topics": [topic]})])


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_namespace([tmp_path / "none.json"])
