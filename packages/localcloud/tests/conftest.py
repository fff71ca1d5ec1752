"""Fixtures that every kind of test shares."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud.testing import LocalCloudProcess
from localcloud_tests.support import collecting, fuzzing, managed, skips

LONG = (
    "chaos/test_capture_killed.py",
    "chaos/test_localcloud_killed.py",
    "integration/cosmos/test_javascript.py",
    "integration/eventhubs/test_growth.py",
    "integration/eventhubs/test_javascript.py",
    "integration/localcloud/test_capture_later.py",
    "integration/localcloud/test_full_disk.py",
    "integration/localcloud/test_tls_later.py",
    "integration/servicebus/test_javascript.py",
)
"""Files whose tests are `long`: they wait for kills, hangs, locks and leases, or run clients in JavaScript by key.
`test_javascript_like_azure.py` runs these by token."""
LONG_FILES = {Path(__file__).parent / name for name in LONG}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    collecting.configure(config)
    fuzzing.configure(config)
    skips.configure(config)


# First, so that `-m` finds the marker.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path in LONG_FILES:
            collecting.mark_long(item)


@pytest.fixture
def start_localcloud(tmp_path: Path) -> Iterator[Callable[..., LocalCloudProcess]]:
    """Starts localclouds, each on free ports with data of its own; every one is ended with the test.

    `start_localcloud("--config", "hubs.json")` passes arguments on.
    """
    clouds: list[LocalCloudProcess] = []

    def start(*arguments: str) -> LocalCloudProcess:
        cloud = LocalCloudProcess(tmp_path / f"cloud{len(clouds)}", arguments)
        clouds.append(cloud)
        return cloud.start()

    yield start
    for cloud in clouds:
        cloud.stop()


@pytest.fixture
def localcloud(start_localcloud: Callable[..., LocalCloudProcess]) -> LocalCloudProcess:
    """An empty localcloud, for this test alone."""
    return start_localcloud()


@pytest.fixture(scope="session")
def shared_localcloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudProcess]:
    """A localcloud for all tests that keep out of each other's way; a test that kills one starts its own."""
    cloud = LocalCloudProcess(tmp_path_factory.mktemp("cloud")).start()
    yield cloud
    cloud.stop()


@pytest.fixture(scope="session")
def secure_localcloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudProcess]:
    """A localcloud with TLS, keys of its own, Blob Storage, and the managed identities of `support.managed`."""
    folder = tmp_path_factory.mktemp("secure")
    options = ["--tls", "--own-keys", "--blobs", f"--identity-config={managed.declared(folder / 'identity.json')}"]
    cloud = LocalCloudProcess(folder / "data", options).start()
    yield cloud
    cloud.stop()
