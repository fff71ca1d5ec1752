"""The container that a request names, and the part of it that its headers name."""

from localcloud.cosmos import items
from localcloud.cosmos.catalog import Catalog, Container
from localcloud.cosmos.errors import CONTAINER_RID_MISMATCH, PARTITION_KEY_RANGE_GONE, BadRequestError, GoneError
from localcloud.cosmos.exchange import Request
from localcloud.cosmos.extent import Extent
from localcloud.cosmos.partition import MAX_EPK, MIN_EPK


def find_container(catalog: Catalog, request: Request) -> Container:
    """Raises NotFoundError; BadRequestError when the client means a deleted container of the same name."""
    container = catalog.container(request.address.database, request.address.container)
    intended = request.headers.get("x-ms-cosmos-intended-collection-rid")
    if intended is not None and intended != container.rid:
        raise BadRequestError(
            f"The container '{container.id}' is {container.rid}, not {intended}: it has been created anew.",
            substatus=CONTAINER_RID_MISMATCH,
        )
    return container


def named_extent(request: Request, container: Container) -> tuple[Extent, bool]:
    """The part that the headers name, and whether they name one. Raises BadRequestError, GoneError."""
    extent, single = Extent(), False
    values = request.partition_key
    if values is not None:
        epk = container.key.effective(values)
        if container.key.is_prefix(values):
            extent, single = Extent(epk, epk + MAX_EPK), True
        else:
            key = items.key_of(container, values, "")
            extent, single = Extent(epk, epk + "!", key.pk), True
    named = request.headers.get("x-ms-documentdb-partitionkeyrangeid")
    if named is not None:
        found = next((r for r in container.ranges if r.id == named.rpartition(",")[2]), None)
        if found is None:
            raise GoneError(
                f"The partition key range {named} is not there; the container has {len(container.ranges)}.",
                substatus=PARTITION_KEY_RANGE_GONE,
            )
        extent, single = extent.within(found.low, found.high), True
    low, high = request.headers.get("x-ms-start-epk"), request.headers.get("x-ms-end-epk")
    if low is not None or high is not None:
        extent, single = extent.within((low or MIN_EPK).upper(), (high or MAX_EPK).upper()), True
    return extent, single
