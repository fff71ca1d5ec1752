"""Databases and containers of Cosmos DB made over its REST protocol, without the SDK."""

import base64
import hashlib
import hmac
import json
import ssl
import urllib.request
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

DEADLINE_S = 30.0


def create_container(
    endpoint: str, key: str, path: str, partition_key: str | Sequence[str], authority: Path | None = None
) -> None:
    """Create `database/container` and its database where they are missing.

    `partition_key` is the path of the key, or those of a hierarchical one. `authority` is trusted over HTTPS.
    Raises ValueError for another shape of path, HTTPError when the service refuses.
    """
    database, slash, container = path.partition("/")
    if not (database and slash and container) or "/" in container:
        raise ValueError(f"saw the container {path!r}, expected DATABASE/CONTAINER")
    paths = [partition_key] if isinstance(partition_key, str) else list(partition_key)
    kind = "Hash" if len(paths) == 1 else "MultiHash"
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if authority is not None:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)))
    opener = urllib.request.build_opener(*handlers)
    _create(opener, endpoint, key, "", "dbs", {"id": database})
    definition = {"paths": paths, "kind": kind, "version": 2}
    _create(opener, endpoint, key, f"dbs/{database}", "colls", {"id": container, "partitionKey": definition})


def _create(
    opener: urllib.request.OpenerDirector, endpoint: str, key: str, parent: str, kind: str, body: dict[str, object]
) -> None:
    date = formatdate(usegmt=True)
    signed = f"post\n{kind}\n{parent}\n{date.lower()}\n\n".encode()
    signature = base64.b64encode(hmac.digest(base64.b64decode(key), signed, hashlib.sha256)).decode()
    headers = {
        "authorization": quote(f"type=master&ver=1.0&sig={signature}", safe=""),
        "x-ms-date": date,
        "x-ms-version": "2020-07-15",
        "content-type": "application/json",
    }
    url = endpoint + quote(f"{parent}/{kind}".lstrip("/"))
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310 - http
    try:
        with opener.open(request, timeout=DEADLINE_S):
            pass
    except HTTPError as error:
        with error:
            if error.code != HTTPStatus.CONFLICT:
                raise
