"""The control endpoint's way to event hubs: list them, create or grow one, delete one.

What Azure's management plane does; its SDK for Python speaks to Azure Resource Manager, which is not served here.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.config import HubConfig
from localcloud.log.errors import InvalidHubNameError, PartitionCountError, UnknownHubError
from localcloud.log.store import Hub, LogStore
from localcloud.standard_tier import GROWS_NOT, TierLimitError, check_hub
from localcloud.unreadable import UNREADABLE


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """`partitions` None: as many as the hub is declared with."""

    partitions: Annotated[int, msgspec.Meta(ge=1, le=2000)] | None = None


def hub_routes(
    store: LogStore,
    forget: Callable[[str], Awaitable[None]],
    captured: Callable[[Hub], Sequence[int] | None],
    *,
    standard: bool = False,
) -> list[Route]:
    """GET /hubs; GET, PUT and DELETE /hubs/NAME. `forget` drops what consumer groups have committed of a hub;
    `captured` says how far its partitions are captured, None where they are not. `standard`: hubs are held to the
    limits of that tier."""

    def described(hub: Hub) -> dict[str, object]:
        return _described(hub, captured(hub))

    async def every(request: Request) -> Response:
        return JSONResponse([described(hub) for hub in store.hubs()])

    async def one(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            if request.method == "PUT":
                return _put(store, name, await request.body(), described, standard=standard)
            hub = store.hub(name)
            was = described(hub)
            if request.method == "DELETE":
                store.delete_hub(name)
                await forget(name)
            return JSONResponse(was)
        except UnknownHubError as error:
            return _refused("name", name, str(error), 404)

    return [Route("/hubs", every), Route("/hubs/{name}", one, methods=["GET", "PUT", "DELETE"])]


def _put(
    store: LogStore, name: str, body: bytes, described: Callable[[Hub], dict[str, object]], *, standard: bool
) -> Response:
    """Create the hub, as it is declared or plain, or grow it. The count that it has already changes nothing."""
    try:
        wanted = msgspec.json.decode(body, type=_Wanted)
    except UNREADABLE as error:
        return _refused("the body", body.decode("utf-8", "replace")[:100], f'expected {{"partitions": N}}; {error}')
    try:
        hub = store.hub(name)
    except UnknownHubError:
        declared = store.declaration(name)
        count = wanted.partitions or (declared.partitions if declared else None)
        if count is None:
            return _refused("partitions", None, f"Hub {name!r} is not declared: expected how many partitions it gets.")
        config = msgspec.structs.replace(declared, partitions=count) if declared else HubConfig(name, count)
        try:
            if standard:
                check_hub(config, (hub.name for hub in store.hubs()))
            return JSONResponse(described(store.create_hub(config)), status_code=201)
        except TierLimitError as error:
            return _refused("name", name, str(error), 409)
        except InvalidHubNameError as error:
            return _refused("name", name, str(error))
    if wanted.partitions not in (None, len(hub.partitions)):
        if standard:
            return _refused("partitions", wanted.partitions, GROWS_NOT, 409)
        try:
            store.grow_hub(name, wanted.partitions)
        except PartitionCountError as error:
            return _refused("partitions", wanted.partitions, str(error), 409)
    return JSONResponse(described(hub))


def _described(hub: Hub, captured: Sequence[int] | None) -> dict[str, object]:
    """`end` is the position that the next event gets, `captured` that of the first event in no file of Capture."""
    partitions = [{"begin": partition.start_offset, "end": partition.high_watermark} for partition in hub.partitions]
    for partition, position in zip(partitions, captured or (), strict=False):
        partition["captured"] = position
    return {
        "name": hub.name,
        "created_at_ms": hub.created_at_ms,
        "compacted": hub.config.compacted,
        "partitions": partitions,
    }


def _refused(field: str, value: object, rule: str, status: int = 400) -> Response:
    return JSONResponse({"field": field, "value": value, "rule": rule}, status_code=status)
