import json
from pathlib import Path
from typing import Any

import pytest

from localcloud.config import DEFAULT_RETENTION_MS, HOUR_MS, ConfigError, HubConfig, read_hubs


def write(path: Path, *entities: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [{"Entities": entities}]}}))
    return path


def test_the_official_form_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", {"Name": "eh1", "PartitionCount": 2, "ConsumerGroups": [{"Name": "cg1"}]})
    assert read_hubs([file]) == [HubConfig("eh1", 2, ("cg1",), compacted=False, retention_ms=DEFAULT_RETENTION_MS)]


def test_a_later_file_is_laid_over_an_earlier_one(tmp_path: Path) -> None:
    base = write(tmp_path / "a.json", {"Name": "Songs", "PartitionCount": 2, "ConsumerGroups": [{"Name": "cg1"}]})
    over = write(
        tmp_path / "b.json", {"Name": "songs", "Properties": {"CleanupPolicy": "Compact", "RetentionInHours": 3}}
    )
    assert read_hubs([base, over]) == [HubConfig("Songs", 2, ("cg1",), compacted=True, retention_ms=3 * HOUR_MS)]
    short = write(tmp_path / "d.json", {"Name": "songs", "Properties": {"RetentionInSeconds": 90}})
    assert read_hubs([base, over, short])[0].retention_ms == 90_000
    times = write(tmp_path / "c.json", {"Name": "songs", "Properties": {"TimestampType": "AppendTime"}})
    for again in ([base, over, times], [base, times, over]):
        (hub,) = read_hubs(again)
        assert (hub.append_time, hub.compacted) == (True, True)


@pytest.mark.parametrize(
    ("entity", "words"),
    [
        ({"Name": "eh1"}, "PartitionCount"),
        ({"Name": "eh1", "PartitionCount": 0}, ">= 1"),
        ({"Name": "a b", "PartitionCount": 1}, "matching"),
        ({"Name": "eh1", "PartitionCount": 1, "Properties": {"CleanupPolicy": "Keep"}}, "Keep"),
    ],
)
def test_a_bad_declaration_names_the_file_and_the_fault(tmp_path: Path, entity: dict[str, Any], words: str) -> None:
    file = write(tmp_path / "bad.json", entity)
    with pytest.raises(ConfigError, match=words) as caught:
        read_hubs([file])
    assert "bad.json" in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "-a", "a-", "a.", "ü", "$x", "x" * 257, "a\n"])
def test_a_name_that_no_hub_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"Name.*expected the shape"):
        read_hubs([write(tmp_path / "bad.json", {"Name": name, "PartitionCount": 1})])


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "a-", "a.", "ü", "$x", "x" * 51, "a\n", "$Default\n"])
def test_a_name_that_no_consumer_group_can_have_is_refused(tmp_path: Path, name: str) -> None:
    hub = {"Name": "orders", "PartitionCount": 1, "ConsumerGroups": [{"Name": name}]}
    with pytest.raises(ConfigError, match=r"ConsumerGroups.*Name.*expected the shape"):
        read_hubs([write(tmp_path / "bad.json", hub)])


@pytest.mark.parametrize("name", ["$Default", "$default", "a", "x" * 50, "a.b_c-d"])
def test_names_of_consumer_groups_are_taken(tmp_path: Path, name: str) -> None:
    hub = {"Name": "orders", "PartitionCount": 1, "ConsumerGroups": [{"Name": name}]}
    assert read_hubs([write(tmp_path / "good.json", hub)])[0].consumer_groups == (name,)


def test_without_a_file_there_is_no_hub() -> None:
    assert read_hubs([]) == []
