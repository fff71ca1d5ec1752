"""One localcloud for all of these tests, and a hub for each."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from localcloud.testing import LocalCloudProcess
from localcloud_tests.integration.eventhubs.hub import Hub

HUBS = 80


def write_config(path: Path, names: list[str], partitions: int = 4) -> Path:
    """A Config.json with hubs of that many partitions, and the consumer group `second`."""
    entities = [{"Name": name, "PartitionCount": partitions, "ConsumerGroups": [{"Name": "second"}]} for name in names]
    namespace = {"Type": "EventHub", "Name": "emulatorNs1", "Entities": entities}
    path.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [namespace]}}))
    return path


@pytest.fixture(scope="package")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudProcess]:
    folder = tmp_path_factory.mktemp("eventhubs")
    config = write_config(folder / "Config.json", [f"hub-{number}" for number in range(HUBS)])
    cloud = LocalCloudProcess(folder / "data", ["--config", str(config)]).start()
    yield cloud
    cloud.stop()


@pytest.fixture(scope="package")
def numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def hub(cloud: LocalCloudProcess, numbers: Iterator[int]) -> Hub:
    """A hub that no other test has touched."""
    return Hub(cloud, f"hub-{next(numbers)}")


@pytest.fixture
def other_hub(cloud: LocalCloudProcess, numbers: Iterator[int]) -> Hub:
    """Another such hub."""
    return Hub(cloud, f"hub-{next(numbers)}")
