"""Requests to webhooks: one connection each, no redirects, and of an answer no more than what is needed."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import httptools
import msgspec

from localcloud.eventgrid.addresses import public_addresses

TIMEOUT_S = 30.0
"""Event Grid waits so long for an answer."""

MAX_HEAD_BYTES = 65_536


class WebhookError(OSError):
    """A webhook can't be reached, gives no answer in time, or none that is HTTP."""


class WebhookAnswer(msgspec.Struct, frozen=True):
    """The status, and the headers by lower-case name. The body is not read."""

    status: int
    headers: Mapping[str, str]


class _Head:
    """Collects the head of an answer."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.is_complete = True


class WebhookClient:
    """Sends requests. `loopback`: webhooks of this machine may be called. `tls`: what HTTPS trusts."""

    def __init__(self, *, loopback: bool, tls: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._loopback = loopback
        self._tls = tls
        self._timeout_s = timeout_s

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> WebhookAnswer:
        """The answer to one request; a redirect is an answer like any other. Raises WebhookError, of which
        ForbiddenAddressError is the cause where the address is not public."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(method, url, headers, body)
        except TimeoutError:
            raise WebhookError(f"no answer within {self._timeout_s:g} s") from None
        except (OSError, ssl.SSLError, httptools.HttpParserError, UnicodeError) as error:
            if isinstance(error, WebhookError):
                raise
            raise WebhookError(str(error) or type(error).__name__) from error

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> WebhookAnswer:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_tls = parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        addresses = await public_addresses(host, port, loopback=self._loopback)
        context = (self._tls or ssl.create_default_context()) if is_tls else None
        reader, writer = await asyncio.open_connection(
            addresses[0], port, ssl=context, server_hostname=host if is_tls else None, limit=MAX_HEAD_BYTES
        )
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            lines.append(f"Content-Length: {len(body)}")
            writer.write("\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body)
            await writer.drain()
            return await _read_head(reader)
        finally:
            # What follows the head is of no use, however long it is.
            writer.transport.abort()
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()


async def _read_head(reader: asyncio.StreamReader) -> WebhookAnswer:
    head = _Head()
    parser = httptools.HttpResponseParser(head)
    read = 0
    while not head.is_complete:
        piece = await reader.read(4_096)
        if not piece:
            raise WebhookError("the connection was closed without an answer")
        read += len(piece)
        if read > MAX_HEAD_BYTES:
            raise WebhookError(f"the head of the answer has more than {MAX_HEAD_BYTES} bytes")
        with suppress(httptools.HttpParserUpgrade):
            parser.feed_data(piece)
    return WebhookAnswer(parser.get_status_code(), head.headers)
