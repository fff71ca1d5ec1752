"""A request and its reply, as values: the argument and the result of each handler."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from localcloud.cosmos import json_documents
from localcloud.cosmos.catalog import Container
from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.partition import Component, parse_values
from localcloud.cosmos.resource_path import ResourcePath

INTEGER = re.compile(r"-?[0-9]{1,18}")
DEFAULT_PAGE = 100
MAX_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` have lower-case names; `base` is scheme, host and port as the client used them; `now_ms` since 1970."""

    method: str
    address: ResourcePath
    headers: Mapping[str, str]
    body: bytes
    base: str
    now_ms: int

    @property
    def now(self) -> int:
        return self.now_ms // 1000

    def flag(self, name: str) -> bool:
        return self.headers.get(name, "").lower() == "true"

    def number(self, name: str) -> int | None:
        """The header as an integer; None without it. Raises BadRequestError for anything else."""
        text = self.headers.get(name)
        if text is None:
            return None
        if not INTEGER.fullmatch(text):
            raise BadRequestError(f"The header {name} is {text!r}: expected an integer.")
        return int(text)

    @property
    def page_size(self) -> int:
        """How many results a page may have. A header of -1 leaves it to the service."""
        size = self.number("x-ms-max-item-count")
        if size is None:
            return DEFAULT_PAGE
        if size == -1:
            return MAX_PAGE
        if size < 1:
            raise BadRequestError(f"The header x-ms-max-item-count is {size}: expected a positive number or -1.")
        return min(size, MAX_PAGE)

    @property
    def partition_key(self) -> tuple[Component, ...] | None:
        """The values of the header; None without it. Raises BadRequestError."""
        text = self.headers.get("x-ms-documentdb-partitionkey")
        values = parse_values(text) if text is not None else ()
        return values or None

    @property
    def is_query(self) -> bool:
        kind = self.headers.get("content-type", "")
        return self.flag("x-ms-documentdb-isquery") or kind.startswith(("application/query+json", "application/sql"))

    @property
    def operation(self) -> str:
        """The operation on documents, in one word; "metadata" for requests about anything else."""
        match self.address.kind, bool(self.address.id), self.method:
            case "docs", True, method:
                return {"GET": "read", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}.get(method, "metadata")
            case "docs", False, "GET":
                return "changes" if "a-im" in self.headers else "feed"
            case "docs", False, "POST":
                return self._posted
            case "partitionkeydelete", _, _:
                return "delete"
        return "metadata"

    @property
    def _posted(self) -> str:
        """The operation of a POST to a container's documents, which the headers name."""
        if self.flag("x-ms-cosmos-is-query-plan-request"):
            return "plan"
        if self.is_query:
            return "query"
        if self.flag("x-ms-cosmos-is-batch-request"):
            return "batch"
        return "upsert" if self.flag("x-ms-documentdb-is-upsert") else "create"

    @property
    def wants_minimal(self) -> bool:
        return self.headers.get("prefer", "").lower() == "return=minimal"


@dataclass(slots=True)
class Reply:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def resource_reply(status: int, resource: Mapping[str, object], charge: float) -> Reply:
    headers = {"x-ms-request-charge": str(charge)}
    if isinstance(etag := resource.get("_etag"), str):
        headers["etag"] = etag
    return Reply(status, json_documents.encode(resource), headers)


def feed_reply(rid: str, name: str, rows: list[bytes], charge: float) -> Reply:
    """`{"_rid": …, "Documents": […], "_count": …}`."""
    body = b'{"_rid":"%b","%b":[%b],"_count":%d}' % (rid.encode(), name.encode(), b",".join(rows), len(rows))
    return Reply(200, body, {"x-ms-item-count": str(len(rows)), "x-ms-request-charge": str(charge)})


def add_location_headers(reply: Reply, container: Container, epk: str, lsn: int) -> None:
    """Add the range that served the request and the session token, by which a client reads no older state than this."""
    range_id = container.range_of(epk).id
    reply.headers["x-ms-documentdb-partitionkeyrangeid"] = range_id
    reply.headers["x-ms-alt-content-path"] = quote(container.name_link)
    reply.headers["x-ms-content-path"] = container.rid
    if lsn:
        reply.headers["x-ms-session-token"] = f"{range_id}:-1#{lsn}"
        reply.headers["lsn"] = str(lsn)


def read_query(request: Request) -> tuple[str, dict[str, object]]:
    """The text and the parameters (`@name` to value) of a query request."""
    if request.headers.get("content-type", "").startswith("application/sql"):
        return request.body.decode("utf-8", "replace"), {}
    body = json_documents.decode(request.body)
    text = body.get("query") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(text, str):
        raise BadRequestError("The query request has no query: expected {'query': 'SELECT …', 'parameters': […]}.")
    parameters: dict[str, object] = {}
    given = body.get("parameters") or []
    if not isinstance(given, list):
        raise BadRequestError("The query's parameters are not a list: expected [{'name': '@x', 'value': …}].")
    for entry in given:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise BadRequestError(f"The query parameter {entry!r} has no name.")
        parameters[entry["name"]] = entry.get("value")
    return text, parameters
