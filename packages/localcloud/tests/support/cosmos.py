"""Signed requests to Cosmos DB as bytes, for what no SDK sends and no SDK shows."""

import base64
import hmac
import http.client
import json
from collections.abc import Mapping
from email.utils import formatdate
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from localcloud.testing import LocalCloudProcess


class CosmosAnswer(NamedTuple):
    """`headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def rows(self) -> list[Any]:
        """The documents of a page."""
        rows: list[Any] = json.loads(self.body)["Documents"]
        return rows


class CosmosRequests:
    """Requests about the container that `link` names: `dbs/one/colls/two`."""

    def __init__(self, cloud: LocalCloudProcess, link: str) -> None:
        self._key = base64.b64decode(cloud.cosmos_key)
        self.link = link
        self.connection = http.client.HTTPConnection("127.0.0.1", cloud.ports["cosmos"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def send(
        self,
        method: str,
        path: str,
        kind: str,
        signed: str,
        headers: Mapping[str, str],
        body: Any = None,
        date: str = "",
    ) -> CosmosAnswer:
        """`kind` and `signed` are the resource type and link that the signature is over; bytes go as they are."""
        date = date or formatdate(usegmt=True)
        text = f"{method.lower()}\n{kind}\n{signed}\n{date.lower()}\n\n"
        signature = base64.b64encode(hmac.digest(self._key, text.encode(), "sha256")).decode()
        head = {"x-ms-date": date, "authorization": quote(f"type=master&ver=1.0&sig={signature}", safe="")}
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.connection.request(method, path, data, head | dict(headers))
        response = self.connection.getresponse()
        return CosmosAnswer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def documents(
        self, method: str, headers: Mapping[str, str], body: Any = None, *, item: str = "", date: str = ""
    ) -> CosmosAnswer:
        """A request about the container's documents, or about the one whose id `item` is. None goes as `null`."""
        signed = f"{self.link}/docs/{item}" if item else self.link
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        path = f"/{self.link}/docs{'/' + item if item else ''}"
        return self.send(method, path, "docs", signed, headers, data, date)

    def query(self, text: str, headers: Mapping[str, str]) -> CosmosAnswer:
        head = {"x-ms-documentdb-isquery": "true", "content-type": "application/query+json", **headers}
        return self.documents("POST", head, {"query": text, "parameters": []})

    def feed(self, headers: Mapping[str, str]) -> CosmosAnswer:
        return self.documents("GET", headers)

    def ranges(self) -> list[Any]:
        answer = self.send("GET", f"/{self.link}/pkranges", "pkranges", self.link, {})
        found: list[Any] = json.loads(answer.body)["PartitionKeyRanges"]
        return found
