"""Erasure and export by the identities that the processes have on Azure, with the rights of these."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from songline.cloud.credentials import entra
from songline.processes.azure_like import declare_containers
from songline.processes.managed_identity import COMMANDS
from songline.processors.history.erasure.opening import open_parts
from tests.support.azure_like import AzureLikeCloud
from tests.support.erasure import erasure_system, events_of, finish
from tests.support.ingestion import App
from tests.support.waiting import wait_for_async

USER = "anna-of-the-cloud"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[AzureLikeCloud]:
    started = AzureLikeCloud(tmp_path / "azure", "--capture-interval", "1").start()
    assert started.keys.control is not None
    declare_containers(f"http://127.0.0.1:{started.ports['control']}", started.keys.control)
    yield started
    started.stop()
    entra.cache_clear()


async def test_a_listener_is_shown_by_the_api_and_erased_by_the_worker(cloud: AzureLikeCloud, tmp_path: Path) -> None:
    with cloud.acting_as(COMMANDS):
        entra.cache_clear()
        operator = App(cloud)
        async with operator, erasure_system(operator, tmp_path, versions=False) as traces:
            await traces.leave_traces(USER)
            await traces.apply()
            erasure = await traces.request(USER, "keep")

            async def is_captured() -> bool:
                return await traces.is_captured(USER, len(events_of(USER)))

            await wait_for_async(is_captured, "Capture to write a file", 60)
            held = {record.kind for record in await traces.held(USER)}
            with cloud.acting_as("api"):
                entra.cache_clear()
                async with open_parts(cloud.environment, traces.now) as parts:
                    shown = {record.kind for place in parts.places async for record in place.held(USER)}
            assert shown - {"event of the hub"} == held - {"event of the hub"}
            with cloud.acting_as("ingestion"):
                entra.cache_clear()
                async with App(cloud) as app, erasure_system(app, tmp_path, versions=False) as worker:

                    async def look(name: str) -> None:
                        await traces.apply()
                        await worker.eraser(name).round()

                    done = await finish(worker, erasure.id, look)
            assert done.state == "done"
            entra.cache_clear()
            left = {record.kind for record in await traces.held(USER)}
            assert left <= {"playback"}
