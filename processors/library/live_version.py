"""The live version of the libraries: the worker makes the first one."""

from typing import Any

import msgspec
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceExistsError, CosmosResourceNotFoundError

from songline.cloud.cosmos import Container
from songline.schemas.channels import LIBRARY, PROJECTIONS
from songline.schemas.decoding import convert
from songline.schemas.projections import LiveVersionDocument

CONTAINER = Container(PROJECTIONS, partition_key="/id", indexed=())

SHELVES_PER_PARTITION = 1
"""Each flush of a shelf costs a write of its root, so more shelves cost more; one worker's writes still overlap."""


async def read_or_create(container: ContainerProxy, partitions: int) -> LiveVersionDocument:
    """The live version of the libraries in the container `projections`; where there is none, the first one, for a hub
    of so many partitions. Raises AzureError."""
    first = LiveVersionDocument(id=LIBRARY, version=1, shelves=partitions * SHELVES_PER_PARTITION)
    while True:
        try:
            item: dict[str, Any] = dict(await container.read_item(LIBRARY, LIBRARY))
            return convert(item, LiveVersionDocument)
        except CosmosResourceNotFoundError:
            try:
                await container.create_item(msgspec.to_builtins(first), no_response=True)
            except CosmosResourceExistsError:
                continue
            return first
