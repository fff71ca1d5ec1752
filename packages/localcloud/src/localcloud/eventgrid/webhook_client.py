"""Requests to webhooks: one connection each, no redirects, and of an answer no more than what is needed."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from urllib.parse import urlsplit

import httptools
import msgspec

from localcloud.eventgrid.addresses import AddressLookup, Resolve, resolve

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
    """Collects the head of an answer. What announces one (`103 Early Hints`) is passed over."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self.answer: WebhookAnswer | None = None

    def feed(self, piece: bytes) -> None:
        """Raises HttpParserError."""
        with suppress(httptools.HttpParserUpgrade):
            self._parser.feed_data(piece)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._headers = {}
        elif self.answer is None:
            self.answer = WebhookAnswer(status, self._headers)


class WebhookClient:
    """Sends requests. `loopback`: webhooks of this machine may be called. `tls`: what HTTPS trusts; None: what the
    system does. `resolve` asks the name servers."""

    def __init__(
        self,
        *,
        loopback: bool,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
        resolve: Resolve = resolve,
    ) -> None:
        self._lookup = AddressLookup(loopback=loopback, resolve=resolve)
        self._given_tls = tls
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
        addresses = await self._lookup.public_addresses(host, port)
        reader, writer = await _connect(addresses, port, self._tls if is_tls else None, host)
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

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # It takes some 20 ms to make one.
        return self._given_tls or ssl.create_default_context()


async def _connect(
    addresses: Sequence[str], port: int, tls: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first address that takes one. Raises OSError, of the last."""
    for last, address in enumerate(addresses, 1 - len(addresses)):
        try:
            return await asyncio.open_connection(
                address, port, ssl=tls, server_hostname=host if tls else None, limit=MAX_HEAD_BYTES
            )
        except OSError:
            if last == 0:
                raise
    raise OSError(f"{host} has no address")


async def _read_head(reader: asyncio.StreamReader) -> WebhookAnswer:
    head = _Head()
    read = 0
    while head.answer is None:
        piece = await reader.read(4_096)
        if not piece:
            raise WebhookError("the connection was closed without an answer")
        read += len(piece)
        if read > MAX_HEAD_BYTES:
            raise WebhookError(f"the head of the answer has more than {MAX_HEAD_BYTES} bytes")
        head.feed(piece)
    return head.answer
