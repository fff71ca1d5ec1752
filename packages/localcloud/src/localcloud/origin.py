"""Whose requests the control endpoint and the issuer take: not those that a page of some site makes a developer's
browser send.

Everything else of localcloud asks for a signature, which a page of another site can't put on.
"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{0,5})?", re.ASCII)


class OwnOrigin:
    """Refuses requests under a name that a stranger may own (403), and writes of another origin's page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = _foreign(scope) if scope["type"] == "http" else None
        if why is None:
            await self._app(scope, receive, send)
            return
        await JSONResponse({"field": why[0], "value": why[1], "rule": why[2]}, status_code=403)(scope, receive, send)


def _foreign(scope: Scope) -> tuple[str, str, str] | None:
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    if len(hosts) > 1 or not all(_is_own(host) for host in hosts):
        return "Host", ", ".join(hosts)[:100], "an address, or a name without a dot such as localhost"
    if scope["method"] in ("GET", "HEAD"):
        return None
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in (None, "same-origin", "none"):
        return "Sec-Fetch-Site", str(site)[:100], "a request of no page"
    if site is None and origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return "Origin", origin[:100], "a request of no page"
    return None


def _is_own(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].strip("[]")
    try:
        ip_address(name)
    except ValueError:
        return "." not in name
    return True
