"""What a test says of its namespace, as the body of a request to the control endpoint."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.testing import Declarations


def entities(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The hubs of the last document, which is laid over the others."""
    found: list[dict[str, Any]] = request["config"][-1]["UserConfig"]["NamespaceConfig"][0]["Entities"]
    return found


def bus(request: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = request["servicebus_config"][-1]["UserConfig"]["Namespaces"][0]
    return found


def test_a_short_form_becomes_documents() -> None:
    declared = Declarations(
        hubs={"orders": 4, "prices": {"PartitionCount": 1, "Properties": {"CleanupPolicy": "Compact"}}},
        queues=["jobs"],
        topics={"news": ["mail", "web"]},
        blobs=True,
    )
    request: dict[str, Any] = declared.request()
    assert entities(request) == [
        {"Name": "orders", "PartitionCount": 4},
        {"Name": "prices", "PartitionCount": 1, "Properties": {"CleanupPolicy": "Compact"}},
    ]
    assert bus(request) == {
        "Queues": [{"Name": "jobs", "Properties": {}}],
        "Topics": [{"Name": "news", "Subscriptions": [{"Name": "mail"}, {"Name": "web"}]}],
    }
    assert (request["blobs"], request["throttle"], request["create_topics"]) == (True, False, False)


def test_one_laid_over_another_keeps_what_it_does_not_name() -> None:
    below = Declarations(hubs={"orders": 4, "prices": 1}, queues=["jobs"], blobs=True, config="a.json")
    above = Declarations(
        hubs={"orders": 2}, queues={"mails": {"RequiresSession": True}}, throttle=True, config=["b.json"]
    )
    both = above.over(below)
    assert both.hubs == {"orders": 2, "prices": 1}
    assert both.queues == {"jobs": {}, "mails": {"RequiresSession": True}}
    assert both.config == ["a.json", "b.json"]
    assert (both.blobs, both.throttle) == (True, True)


def test_what_is_declared_is_laid_over_files(tmp_path: Path) -> None:
    file = tmp_path / "Config.json"
    document = {"UserConfig": {"NamespaceConfig": [{"Entities": [{"Name": "orders", "PartitionCount": 8}]}]}}
    file.write_text(json.dumps(document))
    request: dict[str, Any] = Declarations(config=file, hubs={"orders": 2}).request()
    assert request["config"][0] == document
    assert entities(request) == [{"Name": "orders", "PartitionCount": 2}]


def test_an_unknown_word_is_named() -> None:
    with pytest.raises(TypeError, match=r"the marker localcloud has hub; expected some of hubs, queues"):
        Declarations.check({"hub": {"orders": 4}}, "the marker localcloud")
