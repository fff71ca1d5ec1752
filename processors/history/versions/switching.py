"""Switches of the live version, and dropping one."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy, CosmosClient
from msgspec import Struct, structs

from songline.cloud import cosmos
from songline.processors.history.compare.compare import ComparedVersion
from songline.processors.history.rebuild.lease import is_built
from songline.processors.history.rebuild.rebuild import lasting
from songline.processors.history.versions.lag import LagMeter, VersionLag
from songline.processors.history.versions.projections import VersionedProjection
from songline.processors.history.versions.version_store import VersionOvertakenError, VersionStore
from songline.schemas.channels import DATABASE
from songline.schemas.progress import Watermark
from songline.schemas.projections import DamagedVersionError, LiveVersionDocument, VersionDocument, container_of

FAR_S = 10.0
"""A version that is further behind is not made live."""

SETTLING_S = 5.0
"""So long after a switch readers and workers may still use the version before."""


class SwitchRefusedError(Exception):
    """The version is not made live, or not dropped; the message says why, and what to do."""


class VersionBehindError(SwitchRefusedError):
    """The version is not made live because of what it lacks, which a rebuild adds. `behind` says how much that is."""

    def __init__(self, message: str, behind: str) -> None:
        super().__init__(message)
        self.behind = behind


class VersionSwitch(Struct, frozen=True):
    """A switch that was done: from the version `before`, None where that was not known, to `after`, with its `lag`."""

    before: int | None
    after: VersionDocument
    lag: VersionLag


class VersionSwitcher:
    """Switches, rolls back and drops versions of `projection`.

    `lag` measures them, `now` gives the time of day, and `environ` names the services in which a version has more than
    its container. Methods raise SwitchRefusedError, VersionOvertakenError, DamagedVersionError, AzureError,
    EventHubError and KafkaError.
    """

    def __init__(
        self,
        projection: VersionedProjection,
        account: CosmosClient,
        store: VersionStore,
        lag: LagMeter,
        environ: Mapping[str, str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._projection = projection
        self._account = account
        self._store = store
        self._lag = lag
        self._environ = environ
        self._now = now

    def container(self, version: int) -> ContainerProxy:
        """The container of a version."""
        return cosmos.container(self._account, DATABASE, container_of(self._projection.name, version))

    async def watermarks(self, version: int) -> Mapping[str, Watermark]:
        """How far a version is."""
        return await self._projection.watermarks(self._account, version)

    async def switch(self, version: int | None, *, force: bool) -> VersionSwitch:
        """Make `version` live; None: the newest one that is ready. With `force` also where it is behind, is not ready,
        or where the live document is damaged."""
        live = await self._live(force=force)
        versions = await self._versions(live)
        if version is None:
            ready = [one.version for one in versions if one.state == "ready"]
            if not ready:
                raise SwitchRefusedError(f"no version of {self._name} is ready: see `songline projection list`")
            version = max(ready)
        return await self._make_live(live, self._of(versions, version), force=force)

    async def roll_back(self, *, force: bool) -> VersionSwitch:
        """Make the version live again that was so before. It goes on from where it was, however far that is behind, if
        the hub still has what it lacks."""
        live = await self._live(force=force)
        former = [one for one in await self._versions(live) if one.state == "former"]
        if not former:
            raise SwitchRefusedError(f"no version of {self._name} was live before: see `songline projection list`")
        return await self._make_live(live, max(former, key=lambda one: one.since), force=force, may_lag=True)

    async def compared(self, version: int) -> ComparedVersion:
        """A version that has a container, to be compared with another one."""
        live = await self._live(force=False)
        document = self._of(await self._versions(live), version)
        positions = lasting(await self.watermarks(version))
        return ComparedVersion(version, self.container(version), document.shelves, positions)

    async def drop(self, version: int) -> VersionDocument:
        """Delete a version's container, and what it has beside it. The live one is never dropped, nor one that a
        rebuild writes."""
        document = await self._droppable(version)
        # Answers that began with it, and its worker, need it for a moment.
        settled_s = (self._now() - document.since).total_seconds()
        if document.state == "former" and settled_s < SETTLING_S:
            await asyncio.sleep(SETTLING_S - settled_s)
            # Meanwhile it may have become live again.
            document = await self._droppable(version)
        stored = await self._store.read(self._name, version)
        assert stored is not None, "it was listed just now"
        if stored.document != document:
            raise VersionOvertakenError(f"version {version} of {self._name} was changed meanwhile: look again")
        after = document
        if document.state != "dropped":
            after = structs.replace(document, state="dropped", since=self._now(), worker="")
            # Said first: no reader goes on in a version that is dropped.
            marked = await self._store.replace(stored, after)
            if (await self._store.keep_live(self._name)).version == version:
                await self._store.replace(marked, document)
                raise SwitchRefusedError(f"version {version} of {self._name} became live meanwhile: look again")
        await self._projection.remove_rest(version, self._account, self._environ)
        await self._projection.remove_checkpoints(version, self._account, self._environ)
        # Last: while it is there, not all is removed, and the command can be repeated.
        await cosmos.delete(self._account, DATABASE, container_of(self._name, version))
        return after

    async def _droppable(self, version: int) -> VersionDocument:
        """A version that can be dropped, or of which an earlier drop that was cut off has left something."""
        live = await self._store.live(self._name)
        versions = await self._versions(live)
        left_over = [one for one in versions if one.version == version and one.state == "dropped"]
        if left_over and await cosmos.exists(self._account, DATABASE, container_of(self._name, version)):
            return left_over[0]
        document = self._of(versions, version)
        if version == live.version:
            raise SwitchRefusedError(f"version {version} of {self._name} is live: switch to another one first")
        self._check_unbuilt(document)
        return document

    @property
    def _name(self) -> str:
        return self._projection.name

    async def _live(self, *, force: bool) -> LiveVersionDocument | None:
        """The live version; None where it is not known, with `force`."""
        try:
            return await self._store.live(self._name)
        except DamagedVersionError:
            if force:
                return None
            raise

    async def _versions(self, live: LiveVersionDocument | None) -> list[VersionDocument]:
        if live is None:
            return await self._store.read_all(self._name)
        await self._store.ensure(live)
        return await self._store.settle(self._name)

    def _of(self, versions: list[VersionDocument], version: int) -> VersionDocument:
        found = next((one for one in versions if one.version == version), None)
        if found is None:
            known = ", ".join(str(one.version) for one in versions if one.state != "dropped") or "none"
            raise SwitchRefusedError(f"there is no version {version} of {self._name}: there are {known}")
        if found.state == "dropped":
            raise SwitchRefusedError(f"version {version} of {self._name} was dropped at {found.since:%Y-%m-%d %H:%M}")
        return found

    def _check_unbuilt(self, document: VersionDocument) -> None:
        """Raise SwitchRefusedError while a rebuild writes the version: its worker would write it too."""
        if is_built(document, self._now()):
            raise SwitchRefusedError(
                f"version {document.version} of {self._name} is being built: wait for the rebuild, or stop it first"
            )

    async def _make_live(
        self, live: LiveVersionDocument | None, document: VersionDocument, *, force: bool, may_lag: bool = False
    ) -> VersionSwitch:
        what = f"version {document.version} of {self._name}"
        if live is not None and live.version == document.version:
            raise SwitchRefusedError(f"{what} is live already")
        self._check_unbuilt(document)
        if not await cosmos.exists(self._account, DATABASE, container_of(self._name, document.version)):
            raise SwitchRefusedError(f"{what} has no container any more: rebuild it")
        watermarks = await self.watermarks(document.version)
        lag = await self._lag.measure(watermarks)
        if lag.gone and not force:
            raise VersionBehindError(
                f"{what} can't go on from where it is: {lag.gone}. Rebuild it from the archive (`songline rebuild "
                f"{self._name}`), or accept what it lacks with --force",
                str(lag),
            )
        if (lag.age_s > FAR_S or document.state == "building") and not (force or may_lag):
            unready = "is not built yet" if document.state == "building" else "is too far behind"
            if document.until:
                moment = f"{document.until:%Y-%m-%d %H:%M:%S}"
                rest = f"it was built until {moment}, and its worker adds the rest: switch with --force"
                raise SwitchRefusedError(f"{what} {unready}: {lag}; {rest}")
            build_on = f"Build on with `songline rebuild {self._name} --switch`, or switch with --force"
            raise VersionBehindError(f"{what} {unready}: {lag}. {build_on}", str(lag))
        # Measuring takes seconds, in which it may have been dropped, or a rebuild begun.
        self._check_unbuilt(self._of(await self._versions(live), document.version))
        await self._store.make_live(live, document)
        with suppress(AzureError):
            # No rebuild goes on with it any more. What is left then goes with the version.
            await self._projection.remove_checkpoints(document.version, self._account, self._environ)
        stored = await self._store.read(self._name, document.version)
        return VersionSwitch(
            None if live is None else live.version, document if stored is None else stored.document, lag
        )
