"""A localcloud of its own for these tests, with hubs of theirs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud.testing import LocalCloudProcess


def hubs_file(folder: Path, hubs: dict[str, int]) -> Path:
    """A configuration with hubs of those partition counts."""
    entities = [{"Name": name, "PartitionCount": count, "ConsumerGroups": []} for name, count in hubs.items()]
    entities.append(
        {"Name": "tables", "PartitionCount": 1, "ConsumerGroups": [], "Properties": {"CleanupPolicy": "Compact"}}
    )
    file = folder / "hubs.json"
    namespace = {"Type": "EventHub", "Name": "tests", "Entities": entities}
    file.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [namespace]}}))
    return file


@pytest.fixture
def hubs(tmp_path: Path) -> Path:
    return hubs_file(tmp_path, {"events": 4, "single": 1})


@pytest.fixture
def cloud(start_localcloud: Callable[..., LocalCloudProcess], hubs: Path) -> LocalCloudProcess:
    return start_localcloud("--config", str(hubs))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudProcess]:
    """One localcloud for a module: `one` to `nine` are hubs for one test each."""
    folder = tmp_path_factory.mktemp("kafka")
    names = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    singles = ("single", "drop-faults", "lose-faults", "slow-faults")
    config = hubs_file(folder, dict.fromkeys(names, 3) | dict.fromkeys(singles, 1))
    cloud = LocalCloudProcess(folder / "data", ["--config", str(config), "--create-topics"]).start()
    yield cloud
    cloud.stop()
