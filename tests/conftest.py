"""Fixtures that every kind of test shares."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud_tests.support import collecting, fuzzing, skips
from tests.support.file_order import in_order
from tests.support.localcloud import LocalCloud

LONG = (
    "browser/test_dashboard.py::test_a_lost_connection",
    "browser/test_dashboard.py::test_every_tab_gets_the_stream",
    "chaos/test_erasure.py",
    "chaos/test_hour_snapshots.py",
    "chaos/test_ingestion.py",
    "chaos/test_library.py",
    "chaos/test_outbox.py",
    "chaos/test_rebuilds.py",
    "chaos/test_trending_killed.py",
    "contract/test_installation.py::test_a_wheel_is_the_same",
    "contract/test_installation.py::test_an_extra_brings",
    "contract/test_local_installation.py",
    "integration/broadcast/",
    "integration/catalog/test_worker.py::test_killed_workers_leave",
    "integration/history/test_charts_rebuild.py::test_a_switched_version",
    "integration/history/test_charts_rebuild.py::test_rebuilt_charts_and_days_are_those_of_the_rules[killed",
    "integration/history/test_erasure.py::test_a_listener_is_erased_though",
    "integration/history/test_erasure.py::test_files_that_can_not",
    "integration/history/test_erasure.py::test_what_comes_after",
    "integration/history/test_erasure_beside_others.py::test_an_eraser_that_was_stopped",
    "integration/history/test_erasure_beside_others.py::test_it_is_not_fixed_up_to_where_they_are_forgotten_while_charts_are_rebuilt[plays]",
    "integration/history/test_erasure_beside_others.py::test_songs_uploaded_while",
    "integration/history/test_erasure_beside_others.py::test_what_comes_in_behind",
    "integration/history/test_erasure_api.py::test_an_erasure_is_asked_for",
    "integration/history/test_erasure_like_azure.py",
    "integration/history/test_forget_commands.py::test_a_listener_is_exported",
    "integration/history/test_history.py::test_the_archive_and_the_hub_are_asked_in_sql",
    "integration/history/test_history.py::test_the_index_of_an_archive_in_blobs",
    "integration/history/test_history.py::test_what_the_archive_lacks",
    "integration/history/test_hub_made_anew.py",
    "integration/history/test_stopped_rebuild.py",
    "integration/ingestion/test_locks.py",
    "integration/library/test_former_data.py::test_a_migration_that_is_killed",
    "integration/projections/test_version_switch.py",
    "integration/runtime/test_isolation.py",
    "integration/runtime/test_other_hub.py",
    "integration/imports/test_imports.py::test_a_running_import_is_stopped",
    "integration/runtime/test_keda_lag.py::test_it_counts",
    "integration/songline/test_audit.py::test_an_audit_as_on_azure",
    "integration/songline/test_audit.py::test_an_audit_with_faults",
    "integration/songline/test_audit.py::test_an_interrupted_audit",
    "integration/songline/test_audit_here.py",
    "integration/songline/test_doctor.py::test_nothing_there",
    "integration/songline/test_like_azure.py::test_tokens_are_fetched_anew",
    "integration/songline/test_missing_entities.py",
    "integration/songline/test_names_everywhere.py",
    "integration/songline/test_ownership.py",
    "integration/songline/test_parked_way.py",
    "integration/songline/test_up.py::test_whatever_is_killed_or_hangs",
    "integration/songline/test_up_killed.py",
    "integration/songline/test_up_like_azure.py",
    "integration/songline/test_whole_history.py",
    "integration/trending/test_isolation.py",
    "integration/trending/test_other_hub.py",
    "integration/trending/test_sealing.py::test_a_successor_knows",
    "integration/trending/test_sealing.py::test_an_hour_that_is_over",
    "integration/trending/test_start.py::test_nobody_waits",
    "integration/trending/test_versions.py",
    "integration/uploads/test_commands.py::test_what_died",
    "integration/uploads/test_upload.py::test_a_file_that_no_message_can_carry_is_staged_and_lets_the_api_stay_small[500",
    "unit/ingestion/test_lengths.py",
)
"""Files whose tests are `long`: they wait for kills, hangs, locks and leases. `make test-all` runs them."""
LONG_NODES = tuple(f"tests/{name}" for name in LONG)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As a shell has it for what runs in the background. What tests start would ignore it as well.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    collecting.configure(config)
    fuzzing.configure(config)
    skips.configure(config)


# First, so that `-m` finds the marker.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that share the work begin with the longest files, spread among shorter ones, and end with unit tests."""
    for item in items:
        if item.nodeid.startswith(LONG_NODES):
            collecting.mark_long(item)
    if not hasattr(config, "workerinput"):
        return
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    items[:] = [item for name in in_order(list(files)) for item in files[name]]


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


@pytest.fixture(scope="session")
def cloud_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """The process with Blob Storage in which modules and tests have clouds of their own (`SharedCloud`)."""
    host = LocalCloud(tmp_path_factory.mktemp("host"), ["--blobs"]).start()
    yield host
    host.stop()
