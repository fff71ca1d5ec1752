"""The live version of the libraries: the worker makes the first one, once it has what the former version stored."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
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


async def read_or_create(
    container: ContainerProxy,
    partitions: int,
    fill: Callable[[LiveVersionDocument], Awaitable[LiveVersionDocument]],
) -> LiveVersionDocument:
    """The live version of the libraries in the container `projections`. Where there is none, the first one, for a hub
    of so many partitions: it is made once `fill` returned it, with all in it that was stored before. Raises AzureError.
    """
    found = await read(container)
    if found is not None:
        return found
    first = await fill(LiveVersionDocument(id=LIBRARY, version=1, shelves=partitions * SHELVES_PER_PARTITION))
    with suppress(CosmosResourceExistsError):
        await container.create_item(msgspec.to_builtins(first), no_response=True)
    # Another worker may have made it.
    return await read(container) or first


async def read(container: ContainerProxy) -> LiveVersionDocument | None:
    """The live version of the libraries, None where there is none yet. Raises AzureError."""
    try:
        item: dict[str, Any] = dict(await container.read_item(LIBRARY, LIBRARY))
    except CosmosResourceNotFoundError:
        return None
    return convert(item, LiveVersionDocument)
