"""The containers of all versions of a projection, and how far the live one is."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy, DatabaseProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import Struct, structs

from songline.cloud.cosmos import OVERTAKEN
from songline.processors.history.erasure.job import NotYetError
from songline.processors.history.rebuild.lease import is_built
from songline.processors.runtime import live_version
from songline.processors.runtime.resume_point import same_hub
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.channels import PROJECTIONS
from songline.schemas.decoding import convert
from songline.schemas.erasures import Erasure
from songline.schemas.errors import PoisonError
from songline.schemas.progress import Watermark, lasting_position
from songline.schemas.projections import (
    FIRST_VERSION,
    DamagedVersionError,
    LiveVersionDocument,
    VersionDocument,
    container_of,
)

_VERSIONS = "SELECT VALUE c.version FROM c WHERE c.projection = @projection"
_DOCUMENTS = "SELECT * FROM c WHERE c.projection = @projection"


class VersionShelves(Struct, frozen=True):
    """A version's number, over how many shelves it is spread, and whether it is live."""

    version: int
    count: int
    is_live: bool


class VersionContainers:
    """The containers of `projection`, whose partition key is the field `key`. Methods raise AzureError."""

    def __init__(self, database: DatabaseProxy, projection: str, key: str) -> None:
        self._database = database
        self._projection = projection
        self._key = key

    async def all(self) -> list[ContainerProxy]:
        """Those that exist, of every version: live, former, ready, being built, or left over by a drop that was cut
        off."""
        versions = {FIRST_VERSION, *await self._versions()}
        found = []
        for version in sorted(versions):
            container = self._container(version)
            try:
                await container.read()
            except CosmosResourceNotFoundError:
                continue
            found.append(container)
        return found

    async def live(self) -> ContainerProxy:
        """That of the live version. Raises NotYetError where that is not known."""
        return self._container((await self._live()).version)

    async def shelves(self) -> Mapping[str, VersionShelves]:
        """Over what shelves versions are spread, by the names of their containers, as far as that is known. Raises
        NotYetError."""
        live = await self._live()
        known = {
            document.version: VersionShelves(document.version, document.shelves, is_live=False)
            for document, _ in await self._documents()
        }
        known[live.version] = VersionShelves(live.version, live.shelves, is_live=True)
        return {container_of(self._projection, version): one for version, one in known.items()}

    async def behind(self, bounds: Mapping[str, int], created_at: datetime | None) -> str:
        """Which partition of the hub that was created at `created_at` the live version has not applied up to `bounds`
        yet, as a sentence; empty for none."""
        try:
            reached = await WatermarkStore(await self.live(), self._key).read_all()
        except CosmosResourceNotFoundError:
            return ""
        place = place_behind(reached, bounds, created_at)
        return f"the {self._projection} worker is at {place}" if place else ""

    async def being_built(self, erasure: Erasure, now: datetime) -> str:
        """Which version a rebuild writes that is not up to the bounds of the erasure yet, as a sentence; empty for
        none. It may have read of the archive what it was before, and not have written it.

        A rebuild that has recorded nothing for so long that it has ended loses its lease: should it only have been
        stopped, it writes nothing any more.
        """
        for document, etag in await self._documents():
            if not document.worker:
                continue
            reached = await self._reached(self._container(document.version))
            place = place_behind(reached, erasure.bounds, erasure.hub_created_at)
            if place and (is_built(document, now) or not await self._has_ended(document, etag)):
                return f"version {document.version} of {self._projection} is being built, and is at {place}"
        return ""

    async def under_way(self, now: datetime) -> str:
        """Which version a rebuild writes at the moment, as a sentence; empty for none."""
        for document, _ in await self._documents():
            if is_built(document, now):
                return f"version {document.version} of {self._projection} is being built"
        return ""

    async def lasting(self, container: ContainerProxy, erasure: Erasure) -> dict[int, int]:
        """The bounds of an erasure as lasting positions of a version: partitions by number."""
        return lasting_bounds(await self._reached(container), erasure)

    async def applied(self, container: ContainerProxy) -> dict[int, int]:
        """The lasting position up to which a version has all of each partition: partitions by number."""
        reached = await self._reached(container)
        return {int(partition): lasting_position(one.generation, one.position) for partition, one in reached.items()}

    async def _live(self) -> LiveVersionDocument:
        documents = self._database.get_container_client(PROJECTIONS)
        try:
            return await live_version.read(documents, self._projection)
        except DamagedVersionError as error:
            raise NotYetError(str(error)) from None

    async def _reached(self, container: ContainerProxy) -> Mapping[str, Watermark]:
        try:
            return await WatermarkStore(container, self._key).read_all()
        except CosmosResourceNotFoundError:
            return {}

    def _container(self, version: int) -> ContainerProxy:
        return self._database.get_container_client(container_of(self._projection, version))

    async def _versions(self) -> list[int]:
        """The versions that the container `projections` has."""
        return [int(str(one)) for one in await self._query(_VERSIONS)]

    async def _documents(self) -> list[tuple[VersionDocument, str]]:
        """The documents of the versions with their ETags, without those that can't be understood: no rebuild writes
        such a version."""
        found = []
        for item in await self._query(_DOCUMENTS):
            with suppress(PoisonError):
                found.append((convert(item, VersionDocument), str(item["_etag"])))
        return found

    async def _has_ended(self, document: VersionDocument, etag: str) -> bool:
        """Take the lease of the rebuild of a version from it; return whether it recorded nothing meanwhile."""
        documents = self._database.get_container_client(PROJECTIONS)
        try:
            await documents.replace_item(
                document.id,
                msgspec.to_builtins(structs.replace(document, worker="")),
                etag=etag,
                match_condition=MatchConditions.IfNotModified,
                no_response=True,
            )
        except OVERTAKEN:
            return False
        return True

    async def _query(self, query: str) -> list[Any]:
        documents = self._database.get_container_client(PROJECTIONS)
        parameters: list[dict[str, object]] = [{"name": "@projection", "value": self._projection}]
        try:
            return [one async for one in documents.query_items(query, parameters=parameters)]
        except CosmosResourceNotFoundError:
            return []


def place_behind(reached: Mapping[str, Watermark], bounds: Mapping[str, int], created_at: datetime | None) -> str:
    """Where the first partition is that has not applied all up to its bound; empty for none."""
    for partition, bound in sorted(bounds.items()):
        watermark = reached.get(partition)
        order = _order(watermark, created_at)
        position = -1 if watermark is None or order < 0 else watermark.position
        if order <= 0 and position < bound:
            return f"{position} of {bound} in partition {partition}"
    return ""


def lasting_bounds(reached: Mapping[str, Watermark], erasure: Erasure) -> dict[int, int]:
    """The lasting positions of a version, which has reached these watermarks, up to which all is from before the bounds
    of an erasure. A partition that the hub got since has nothing from before; one that is not known to be of this hub
    has no bound."""
    if erasure.hub_created_at is None:
        return {}
    dated = {one for one, watermark in reached.items() if watermark.created_at is not None}
    return {
        int(one): _lasting_bound(reached.get(one), erasure.bounds.get(one, -1), erasure.hub_created_at)
        for one in dated | erasure.bounds.keys()
    }


def _lasting_bound(watermark: Watermark | None, bound: int, created_at: datetime) -> int:
    generation, order = 0 if watermark is None else watermark.generation, _order(watermark, created_at)
    if order < 0:
        return lasting_position(generation + 1, -1)
    return lasting_position(generation, -1 if order else bound)


def _order(watermark: Watermark | None, created_at: datetime | None) -> int:
    """Whether a watermark is of a hub before the one that was created at `created_at` (-1), or of one after it (1). 0:
    it is of that one, or that is not known. Positions of two hubs can't be compared."""
    if watermark is None or watermark.created_at is None or created_at is None:
        return 0
    if same_hub(watermark.created_at, created_at):
        return 0
    return -1 if watermark.created_at < created_at else 1
