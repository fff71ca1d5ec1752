"""The HTTP side: an ASGI app that reads a request, checks its signature, finds the handler and writes the reply."""

import asyncio
import logging
import random
import sqlite3
import uuid
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from localcloud.cosmos import json_documents
from localcloud.cosmos.access import CosmosAccess
from localcloud.cosmos.catalog import Catalog
from localcloud.cosmos.errors import CosmosError, MethodNotAllowedError, RequestTooLargeError, TooManyRequestsError
from localcloud.cosmos.exchange import Reply, Request
from localcloud.cosmos.item_handlers import ItemHandlers
from localcloud.cosmos.query_handlers import QueryHandlers
from localcloud.cosmos.resource_handlers import ResourceHandlers
from localcloud.cosmos.resource_path import parse_resource_path
from localcloud.cosmos.storage import Storage
from localcloud.cosmos.throughput import Throughput
from localcloud.disk import is_full, reason
from localcloud.faults import DelayFault, DropFault, Faults, LoseFault, ThrottleFault
from localcloud.http import HANG_UP

MAX_BODY = 4 * 1024 * 1024
Handler = Callable[[Request], Awaitable[Reply]]

_FIXED = {
    "content-type": "application/json",
    "x-ms-schemaversion": "1.19",
    "x-ms-serviceversion": "version=2.14.0.0",
    "x-ms-gatewayversion": "version=2.14.0",
    "cache-control": "no-store, no-cache",
}

_MANAGED = {("dbs", False, "POST"), ("colls", False, "POST"), ("colls", True, "DELETE")}
"""What can be asked for at the control endpoint: the kind of resource, whether it is one of them, the method."""

logger = logging.getLogger(__name__)


class _HangUpError(Exception):
    """The connection is cut instead of a response."""


class CosmosApp:
    """The ASGI app: its handlers by (kind of resource, whether an item is named, method)."""

    def __init__(
        self,
        storage: Storage,
        catalog: Catalog,
        access: CosmosAccess,
        *,
        now_ms: Callable[[], int],
        throughput: Throughput,
        faults: Faults,
    ) -> None:
        self._access = access
        self._now_ms = now_ms
        self._throughput = throughput
        self._faults = faults
        management, queries = ResourceHandlers(storage, catalog), QueryHandlers(storage, catalog)
        data = ItemHandlers(storage, catalog, throughput, queries)
        self._handlers: dict[tuple[str, bool, str], Handler] = {
            ("", False, "GET"): management.read_account,
            ("dbs", False, "GET"): management.list_databases,
            ("dbs", False, "POST"): management.create_database,
            ("dbs", True, "GET"): management.read_database,
            ("dbs", True, "DELETE"): management.delete_database,
            ("colls", False, "GET"): management.list_containers,
            ("colls", False, "POST"): management.create_container,
            ("colls", True, "GET"): management.read_container,
            ("colls", True, "PUT"): management.replace_container,
            ("colls", True, "DELETE"): management.delete_container,
            ("pkranges", False, "GET"): management.list_ranges,
            ("conflicts", False, "GET"): management.list_conflicts,
            ("conflicts", False, "POST"): management.list_conflicts,
            ("conflicts", True, "GET"): management.read_conflict,
            ("conflicts", True, "DELETE"): management.read_conflict,
            ("offers", False, "GET"): management.list_offers,
            ("offers", False, "POST"): management.list_offers,
            ("offers", True, "GET"): management.read_offer,
            ("offers", True, "PUT"): management.replace_offer,
            ("docs", False, "GET"): queries.read_feed,
            ("docs", False, "POST"): data.post,
            ("docs", True, "GET"): data.read,
            ("docs", True, "PUT"): data.replace,
            ("docs", True, "PATCH"): data.patch,
            ("docs", True, "DELETE"): data.delete,
            ("partitionkeydelete", False, "POST"): data.delete_partition,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        activity = headers.get("x-ms-activity-id") or str(uuid.UUID(int=random.getrandbits(128), version=4))
        try:
            reply = await self._dispatch(scope, headers, await _read_body(receive))
        except CosmosError as error:
            reply = _of_error(error, activity)
        except sqlite3.Error as error:
            reply = _of_error(_unavailable(error), activity)
        except _HangUpError:
            scope["extensions"][HANG_UP]["now"]()
            await receive()
            return
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            reply = _of_error(CosmosError("The request failed inside the server. The log has the reason."), activity)
        lines = {**_FIXED, **reply.headers, "x-ms-activity-id": activity, "content-length": str(len(reply.body))}
        if reply.status in (204, 304):
            del lines["content-length"], lines["content-type"]
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        await send({"type": "http.response.body", "body": reply.body})

    async def manage(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """What Resource Manager does on Azure, without a role of data: create a database or container, delete one."""
        address = parse_resource_path(path)
        action = (address.kind, bool(address.id), method)
        handler = self._handlers.get(action)
        if handler is None or action not in _MANAGED:
            raise MethodNotAllowedError(f"{method} on {path} is not supported.")
        return await handler(Request(method, address, headers, body, "", self._now_ms()))

    async def _dispatch(self, scope: Scope, headers: dict[str, str], body: bytes) -> Reply:
        now_ms = self._now_ms()
        raw_path: bytes = scope["raw_path"]
        address = parse_resource_path(raw_path.decode("latin-1"))
        method: str = scope["method"]
        base = f"{scope['scheme']}://{headers.get('host', '')}"
        request = Request(method, address, headers, body, base, now_ms)
        self._access.check(request)
        handler = self._handlers.get((address.kind, bool(address.id), method))
        if handler is None:
            raise MethodNotAllowedError(f"{method} on {scope['path']} is not supported.")
        fault = self._faults.next("cosmos", request.operation, f"{address.database}/{address.container}")
        match fault:
            case ThrottleFault(retry_after_ms=wait):
                raise TooManyRequestsError(wait)
            case DelayFault(ms=ms):
                await asyncio.sleep(ms / 1000)
            case DropFault():
                raise _HangUpError
        reply = await self._within_throughput(request, handler)
        if isinstance(fault, LoseFault):
            raise _HangUpError
        if method != "POST":  # the service sends the header in responses to all other methods
            reply.headers["content-location"] = base + raw_path.decode("latin-1")
        return reply

    async def _within_throughput(self, request: Request, handler: Handler) -> Reply:
        wait = self._throughput.allowance(request.address, request.now_ms).wait_ms()
        if wait is not None:
            raise TooManyRequestsError(wait)
        charge = 0.0
        try:
            reply = await handler(request)
            charge = float(reply.headers["x-ms-request-charge"])
        except CosmosError as error:
            charge = error.charge
            raise
        finally:
            self._throughput.spend(request.address, charge, request.now_ms)
        return reply


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise RequestTooLargeError(f"Request size is too large: more than {MAX_BODY} bytes.")
    return b"".join(parts)


class _StoreUnavailableError(CosmosError):
    status = 503
    code = "ServiceUnavailable"


def _unavailable(error: sqlite3.Error) -> CosmosError:
    if not is_full(error):  # the store logs that itself, once
        logger.error("the store cannot serve: %s", error)
    answer = _StoreUnavailableError(f"The store cannot serve the request now: {reason(error)}.")
    answer.headers["retry-after"] = "1"
    return answer


def _of_error(error: CosmosError, activity: str) -> Reply:
    """`{"code": …, "message": …}`, with the activity id in the message as the service has it."""
    body = {"code": error.code, "message": f"{error.message}\r\nActivityId: {activity}", **error.extra}
    headers = {"x-ms-request-charge": str(error.charge), **error.headers}
    if error.substatus:
        headers["x-ms-substatus"] = str(error.substatus)
    return Reply(error.status, json_documents.encode(body), headers)
