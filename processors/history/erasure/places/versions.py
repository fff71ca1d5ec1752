"""The containers of all versions of a projection, and how far the live one is."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy, DatabaseProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import structs

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

    async def shelves(self) -> Mapping[str, tuple[int, int]]:
        """The numbers of the versions, and over how many shelves each is spread, by the names of their containers, as
        far as that is known. Raises NotYetError."""
        live = await self._live()
        known = {document.version: document.shelves for document, _ in await self._documents()}
        return {
            container_of(self._projection, version): (version, shelves)
            for version, shelves in {**known, live.version: live.shelves}.items()
        }

    async def behind(self, bounds: Mapping[str, int]) -> str:
        """Which partition the live version has not applied up to `bounds` yet, as a sentence; empty for none."""
        try:
            reached = await WatermarkStore(await self.live(), self._key).read_all()
        except CosmosResourceNotFoundError:
            return ""
        place = _place_behind(reached, bounds)
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
            # What it has of a former life of the hub is before all bounds.
            of_hub = {one: at for one, at in reached.items() if _is_of_hub(at, erasure)}
            place = _place_behind(of_hub, erasure.bounds)
            if place and (is_built(document, now) or not await self._has_ended(document, etag)):
                return f"version {document.version} of {self._projection} is being built, and is at {place}"
        return ""

    async def under_way(self, now: datetime) -> str:
        """Which version a rebuild writes at the moment, as a sentence; empty for none."""
        for document, _ in await self._documents():
            if is_built(document, now):
                return f"version {document.version} of {self._projection} is being built"
        return ""

    async def lasting(self, container: ContainerProxy, bounds: Mapping[str, int]) -> dict[int, int]:
        """The bounds as lasting positions of a version: partitions by number."""
        generations = {partition: one.generation for partition, one in (await self._reached(container)).items()}
        return {
            int(partition): lasting_position(generations.get(partition, 0), bound)
            for partition, bound in bounds.items()
        }

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


def _is_of_hub(watermark: Watermark, erasure: Erasure) -> bool:
    """Whether the position is of the hub that the erasure's bounds are of, or of a later one."""
    bounds_of, at = erasure.hub_created_at, watermark.created_at
    return bounds_of is None or at is None or at > bounds_of or same_hub(at, bounds_of)


def _place_behind(reached: Mapping[str, Watermark], bounds: Mapping[str, int]) -> str:
    """Where the first partition is that has not applied all up to its bound; empty for none."""
    for partition, bound in sorted(bounds.items()):
        watermark = reached.get(partition)
        position = -1 if watermark is None else watermark.position
        if position < bound:
            return f"{position} of {bound} in partition {partition}"
    return ""
