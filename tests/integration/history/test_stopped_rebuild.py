"""A rebuild that was stopped for longer than its lease does not bring back who was forgotten meanwhile."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from songline.cloud import cosmos
from songline.cloud.settings import COSMOS_CONNECTION
from songline.processors.history.versions.version_store import VersionStore
from songline.schemas.channels import DATABASE, LIBRARY, PROJECTIONS
from songline.schemas.projections import LiveVersionDocument, container_of
from tests.support.erasure import SHELVES, ErasureSystem, erasure_system, events_of, finish
from tests.support.ingestion import App
from tests.support.localcloud import LocalCloud
from tests.support.proxy import HoldingProxy
from tests.support.versions import Operator
from tests.support.waiting import wait_for

USER = "jana-6"
BATCH = b"x-ms-cosmos-is-batch-request"


async def held(system: ErasureSystem) -> list[str]:
    """The containers that have something of the listener."""
    found = [one.value.get("container") for one in await system.held(USER) if one.place == "libraries"]
    return sorted({str(one) for one in found})


@asynccontextmanager
async def system_of_one(cloud: LocalCloud, folder: Path) -> AsyncIterator[ErasureSystem]:
    """A system whose live version has the events of the listener."""
    async with App(cloud) as app, erasure_system(app, folder, versions=False) as system:
        await system.tell(*events_of(USER))
        await system.apply()
        store = VersionStore(cosmos.container(app.cosmos, DATABASE, PROJECTIONS), system.now)
        await store.ensure(LiveVersionDocument(id=LIBRARY, version=1, shelves=SHELVES))
        yield system


async def forget(system: ErasureSystem) -> None:
    erasure = await system.request(USER, "keep")
    await finish(system, erasure.id)
    assert not await held(system), "once they are forgotten"


async def assert_is_taken(rebuild: asyncio.subprocess.Process) -> None:
    said, _ = await rebuild.communicate()
    assert rebuild.returncode == 2, said
    assert b"version 2 of library was taken from this process" in said


async def test_a_rebuild_that_was_stopped_writes_nothing_once_its_lease_is_taken(
    erasure_cloud: LocalCloud, tmp_path: Path
) -> None:
    """It had read them, and waited for Cosmos DB, when it was stopped."""
    async with system_of_one(erasure_cloud, tmp_path) as system:
        operator, built = Operator(erasure_cloud), container_of(LIBRARY, 2)
        throttle = {"service": "cosmos", "entity": f"{DATABASE}/{built}", "kind": "throttle", "operation": "batch"}
        with erasure_cloud.faults(throttle) as fired:
            rebuild = await operator.begin("rebuild", LIBRARY)
            wait_for(lambda: fired()[0] > 0, "the rebuild to write what it has read", 60)
            os.kill(rebuild.pid, signal.SIGSTOP)
        try:
            await forget(system)
        finally:
            os.kill(rebuild.pid, signal.SIGCONT)
        await assert_is_taken(rebuild)
        assert not await held(system), "once it has ended"
        # Begun again, it reads the archive as it is now.
        await operator.done("rebuild", LIBRARY)
        assert not await held(system), "once it was repeated"


async def test_what_it_was_sending_when_it_was_stopped_is_refused_once_its_lease_is_taken(
    erasure_cloud: LocalCloud, tmp_path: Path
) -> None:
    """A large request takes its time, and the service may get the end of it much later."""
    through = HoldingProxy(erasure_cloud.ports["cosmos"], BATCH)
    async with system_of_one(erasure_cloud, tmp_path) as system, through as proxy:
        own = erasure_cloud.environment[COSMOS_CONNECTION]
        connection = own.replace(str(erasure_cloud.ports["cosmos"]), str(proxy.port))
        rebuild = await Operator(erasure_cloud, {COSMOS_CONNECTION: connection}).begin("rebuild", LIBRARY)
        await asyncio.wait_for(proxy.held.wait(), 60)
        os.kill(rebuild.pid, signal.SIGSTOP)
        try:
            await forget(system)
            proxy.release()
        finally:
            os.kill(rebuild.pid, signal.SIGCONT)
        await assert_is_taken(rebuild)
        assert not await held(system), "once it has ended"
