"""The control endpoint: health, on the path that Microsoft's emulators use; faults, throttling and hubs on demand."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.control_key import ControlKey
from localcloud.faults import FaultRulesError, Faults, parse_rules
from localcloud.origin import OwnOrigin
from localcloud.unreadable import UNREADABLE


class Throttled(Protocol):
    """What holds databases to their throughput: those whose names match a pattern in `enforced`."""

    enforced: list[str]


def create(
    endpoints: Mapping[str, int],
    unavailable: Mapping[str, str],
    faults: Faults,
    throughput: Callable[[], Throttled],
    routes: Sequence[Route],
    key: str | None = None,
) -> Starlette:
    """The app; `endpoints` are the services' names and ports, filled by the time that it answers.

    `unavailable` are services that were asked for and are not served, each with what is missing. All but health asks
    for `key` where there is one.
    """

    async def health(request: Request) -> Response:
        answer: dict[str, object] = {"status": "healthy", "ports": dict(endpoints)}
        if unavailable:
            answer["unavailable"] = dict(unavailable)
        return JSONResponse(answer)

    async def rules(request: Request) -> Response:
        try:
            match request.method:
                case "PUT":
                    faults.put(parse_rules(await request.body()))
                case "DELETE":
                    faults.put([])
        except FaultRulesError as error:
            return refused(error.field, error.value, error.rule)
        return JSONResponse(faults.report())

    async def throttling(request: Request) -> Response:
        body = await request.body()
        try:
            match request.method:
                case "PUT":
                    throughput().enforced = msgspec.json.decode(body, type=list[str])
                case "DELETE":
                    throughput().enforced = []
        except UNREADABLE as error:
            return refused("the body", body.decode("utf-8", "replace")[:100], f"expected a JSON list; {error}")
        return JSONResponse(throughput().enforced)

    methods: Sequence[str] = ("GET", "PUT", "DELETE")
    return Starlette(
        routes=[
            Route("/health", health),
            Route("/faults", rules, methods=methods),
            Route("/throttling", throttling, methods=methods),
            *routes,
        ],
        middleware=[Middleware(OwnOrigin), *([Middleware(ControlKey, key=key)] if key is not None else [])],
    )


def refused(field: str, value: object, rule: str, status: int = 400) -> Response:
    """The answer to an order that breaks a rule."""
    return JSONResponse({"field": field, "value": value, "rule": rule}, status_code=status)
