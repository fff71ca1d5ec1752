"""A rebuild that was stopped for longer than its lease does not bring back who was forgotten meanwhile."""

import os
import signal
from pathlib import Path

from songline.cloud import cosmos
from songline.processors.history.versions.version_store import VersionStore
from songline.schemas.channels import DATABASE, LIBRARY, PROJECTIONS
from songline.schemas.projections import LiveVersionDocument, container_of
from tests.support.erasure import SHELVES, ErasureSystem, erasure_system, events_of, finish
from tests.support.ingestion import App
from tests.support.localcloud import LocalCloud
from tests.support.versions import Operator
from tests.support.waiting import wait_for

USER = "jana-6"
CAPTURE = ("--capture-interval", "1")


async def held(system: ErasureSystem) -> list[str]:
    """The containers that have something of the listener."""
    found = [one.value.get("container") for one in await system.held(USER) if one.place == "libraries"]
    return sorted({str(one) for one in found})


async def test_a_rebuild_that_was_stopped_writes_nothing_once_its_lease_is_taken(
    erasure_cloud: LocalCloud, tmp_path: Path
) -> None:
    """It had read them, and waited for Cosmos DB, when it was stopped."""
    async with App(erasure_cloud) as app, erasure_system(app, tmp_path, versions=False) as system:
        await system.tell(*events_of(USER))
        await system.apply()
        store = VersionStore(cosmos.container(app.cosmos, DATABASE, PROJECTIONS), system.now)
        await store.ensure(LiveVersionDocument(id=LIBRARY, version=1, shelves=SHELVES))
        operator, built = Operator(erasure_cloud), container_of(LIBRARY, 2)
        throttle = {"service": "cosmos", "entity": f"{DATABASE}/{built}", "kind": "throttle", "operation": "batch"}
        with erasure_cloud.faults(throttle) as fired:
            rebuild = await operator.begin("rebuild", LIBRARY)
            wait_for(lambda: fired()[0] > 0, "the rebuild to write what it has read", 60)
            os.kill(rebuild.pid, signal.SIGSTOP)
        try:
            erasure = await system.request(USER, "keep")
            await finish(system, erasure.id)
            assert not await held(system)
        finally:
            os.kill(rebuild.pid, signal.SIGCONT)
        said, _ = await rebuild.communicate()
        assert rebuild.returncode == 2, said
        assert b"version 2 of library was taken from this process" in said
        assert not await held(system)
        # Begun again, it reads the archive as it is now.
        await operator.done("rebuild", LIBRARY)
        assert not await held(system)
