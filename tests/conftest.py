"""Fixtures that every kind of test shares."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.localcloud import LocalCloud

LONGEST = (
    "chaos/",
    "browser/",
    "integration/uploads/",
    "integration/catalog/",
    "integration/songline/",
    "integration/",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that share the work begin with the longest files: nobody is left with one when all others are done."""
    if not hasattr(config, "workerinput"):
        return

    def rank(item: pytest.Item) -> int:
        return next((number for number, part in enumerate(LONGEST) if f"tests/{part}" in item.nodeid), len(LONGEST))

    items.sort(key=rank)


@pytest.fixture
def start_localcloud(tmp_path: Path) -> Iterator[Callable[..., LocalCloud]]:
    """Starts localclouds, each on free ports with data of its own; every one is ended with the test.

    `start_localcloud("--config", "hubs.json")` passes arguments on.
    """
    clouds: list[LocalCloud] = []

    def start(*arguments: str) -> LocalCloud:
        cloud = LocalCloud(tmp_path / f"cloud{len(clouds)}", arguments)
        clouds.append(cloud)
        return cloud.start()

    yield start
    for cloud in clouds:
        cloud.stop()


@pytest.fixture
def localcloud(start_localcloud: Callable[..., LocalCloud]) -> LocalCloud:
    """A localcloud with the product's entities, for this test alone."""
    return start_localcloud()


@pytest.fixture(scope="session")
def shared_localcloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A localcloud for all tests that keep out of each other's way; who kills one starts one of their own."""
    cloud = LocalCloud(tmp_path_factory.mktemp("cloud")).start()
    yield cloud
    cloud.stop()
