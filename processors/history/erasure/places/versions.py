"""The containers of all versions of a projection, and how far the live one is."""

from collections.abc import Mapping

from azure.cosmos.aio import ContainerProxy, DatabaseProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.processors.history.erasure.job import NotYetError
from songline.processors.runtime import live_version
from songline.processors.runtime.watermark_store import WatermarkStore
from songline.schemas.channels import PROJECTIONS
from songline.schemas.progress import lasting_position
from songline.schemas.projections import FIRST_VERSION, DamagedVersionError, container_of

_VERSIONS = "SELECT VALUE c.version FROM c WHERE c.projection = @projection"


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
        documents = self._database.get_container_client(PROJECTIONS)
        try:
            return self._container((await live_version.read(documents, self._projection)).version)
        except DamagedVersionError as error:
            raise NotYetError(str(error)) from None

    async def behind(self, bounds: Mapping[str, int]) -> str:
        """Which partition the live version has not applied up to `bounds` yet, as a sentence; empty for none."""
        try:
            reached = await WatermarkStore(await self.live(), self._key).read_all()
        except CosmosResourceNotFoundError:
            return ""
        for partition, bound in sorted(bounds.items()):
            watermark = reached.get(partition)
            position = -1 if watermark is None else watermark.position
            if position < bound:
                return f"the {self._projection} worker is at {position} of {bound} in partition {partition}"
        return ""

    async def lasting(self, container: ContainerProxy, bounds: Mapping[str, int]) -> dict[int, int]:
        """The bounds as lasting positions of a version: partitions by number."""
        try:
            reached = await WatermarkStore(container, self._key).read_all()
        except CosmosResourceNotFoundError:
            reached = {}
        generations = {partition: watermark.generation for partition, watermark in reached.items()}
        return {
            int(partition): lasting_position(generations.get(partition, 0), bound)
            for partition, bound in bounds.items()
        }

    def _container(self, version: int) -> ContainerProxy:
        return self._database.get_container_client(container_of(self._projection, version))

    async def _versions(self) -> list[int]:
        """The versions that the container `projections` has."""
        documents = self._database.get_container_client(PROJECTIONS)
        parameters: list[dict[str, object]] = [{"name": "@projection", "value": self._projection}]
        try:
            return [int(str(one)) async for one in documents.query_items(_VERSIONS, parameters=parameters)]
        except CosmosResourceNotFoundError:
            return []
