"""The live version of a projection, as its workers read it: once before they begin, and then every LOOK_S seconds."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any

import msgspec
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError, CosmosResourceNotFoundError

from songline.cloud.cosmos import Container
from songline.schemas.channels import PROJECTIONS
from songline.schemas.progress_report import NotReadyCause, NotReadyReason, not_ready
from songline.schemas.projections import (
    FIRST_VERSION,
    DamagedVersionError,
    LiveVersionDocument,
    live_version,
    version_id,
)

log = logging.getLogger(__name__)

CONTAINER = Container(PROJECTIONS, partition_key="/id", indexed=())

LOOK_S = 2.0
"""How often a worker asks which version is live."""


class VersionChangedError(Exception):
    """Another version of the projection is live than the one that this worker runs: it ends, and begins as that one."""


async def read(container: ContainerProxy, projection: str) -> LiveVersionDocument:
    """The live version of `projection` in the container `projections`. Raises AzureError and DamagedVersionError."""
    return (await _read_both(container, projection))[0]


async def _read_both(
    container: ContainerProxy, projection: str, *, was_made: bool = True
) -> tuple[LiveVersionDocument, bool]:
    """The live version, and whether its document is there. Where that `was_made` before, it must not be missing.
    Raises AzureError and DamagedVersionError."""
    found = await read_document(container, projection)
    first = None
    if found is None and was_made:
        first = await read_document(container, version_id(projection, FIRST_VERSION))
        if first is not None:
            # What is live is said before there is a version: both may have been made since.
            found = await read_document(container, projection)
    return live_version(projection, found, first), found is not None


async def create(container: ContainerProxy, first: LiveVersionDocument) -> LiveVersionDocument:
    """The live version once there is one: `first`, or what another worker has made meanwhile. Raises AzureError and
    DamagedVersionError."""
    with suppress(CosmosResourceExistsError):
        await container.create_item(msgspec.to_builtins(first), no_response=True)
    return await read(container, first.id)


async def read_document(container: ContainerProxy, document_id: str) -> dict[str, Any] | None:
    """The document whose id is its partition key too; None where it, or the container, is not there. Raises
    AzureError."""
    try:
        return dict(await container.read_item(document_id, document_id))
    except CosmosResourceNotFoundError:
        return None


class LiveVersionWatch:
    """Watches whether `running` is still the live version of its projection in the container `projections`."""

    def __init__(self, container: ContainerProxy, running: LiveVersionDocument, look_s: float = LOOK_S) -> None:
        self._container = container
        self._running = running
        self._look_s = look_s
        self._damage = ""
        self._was_made = True
        """Whether the live document was there at the last look, or should have been. As long as no version is made
        there is none: two questions each time would be one too many."""

    async def run(self) -> LiveVersionDocument:
        """Return once another version is live. While that can't be read, `running` goes on."""
        while True:
            await asyncio.sleep(self._look_s)
            try:
                live, self._was_made = await _read_both(self._container, self._running.id, was_made=self._was_made)
            except AzureError as error:
                log.info("which version is live can't be read: %s", error)
                continue
            except DamagedVersionError as error:
                if not self._damage:
                    log.error("%s; version %d goes on", error, self._running.version)
                self._damage = str(error)
                continue
            self._damage = ""
            if live.version != self._running.version:
                return live

    async def run_beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, and cancel it once another version is live. Raises VersionChangedError then, and what `work`
        raises."""
        working, watching = asyncio.create_task(work), asyncio.create_task(self.run())
        try:
            await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.wait((working, watching))
        if not working.cancelled():
            working.result()
        if not watching.cancelled():
            live, running = watching.result(), self._running
            raise VersionChangedError(
                f"version {live.version} of {running.id} is live, and this worker runs version {running.version}"
            )

    def reasons(self, worker: str) -> Iterator[NotReadyReason]:
        """Why `worker` is not ready: which version is live is not known."""
        if self._damage:
            yield not_ready(worker, NotReadyCause.VERSION_UNKNOWN, self._damage)
