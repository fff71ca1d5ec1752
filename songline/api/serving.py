"""The API's HTTP server: uvicorn over httptools, which waits for ever for a request that does not come to its end.

`PatientProtocol` gives the head of a request a time, however its bytes trickle in; a connection on which nothing was
said yet has the same. Bodies have a pace of their own (`producers.pacing`), and idle connections uvicorn's keep-alive.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from songline.cloud.settings import read_number

HEAD = "SONGLINE_HEAD_TIMEOUT"
HEAD_S = 20.0
# A head that is larger than this is no head of ours; httptools would keep on collecting it.
HEAD_BYTES = 64 * 1024
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request has no whole head after `head_s` seconds, or one that is too large."""

    head_s = HEAD_S

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # Between requests only uvicorn's keep-alive runs, which it takes away with the first byte.
        if self._head_timer is None and self._is_between():
            self._expect_head()
        if self._head_timer is not None and not self._is_leftover():
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > HEAD_BYTES:
            self._refuse(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._stop()
        super().on_headers_complete()

    def _is_between(self) -> bool:
        """Whether the request before, if there was one, is answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _is_leftover(self) -> bool:
        """Whether what comes is the rest of a body that was refused before it was read."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.more_body

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self.head_s, self._too_late)

    def _stop(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            # Who has said nothing is told nothing: it may be a browser that opened one connection too many.
            self._refuse(_TOO_LATE if self._head_bytes else b"")

    def _refuse(self, answer: bytes) -> None:
        self._stop()
        if answer:
            self.transport.write(answer)
        self.transport.close()


def read_head(environ: Mapping[str, str]) -> float:
    """Seconds that the head of a request may take; raises SettingError."""
    return read_number(environ, HEAD, HEAD_S, (0.1, 3_600), "seconds that the head of a request may take,")


def serve(app: ASGIApp, host: str, port: int, head_s: float = HEAD_S) -> None:
    """Serve until a signal says to end."""
    protocol = type("PatientProtocol", (PatientProtocol,), {"head_s": head_s})
    uvicorn.run(
        app,
        host=host,
        port=port,
        http=protocol,
        access_log=False,
        server_header=False,
        # Addresses that a proxy passes on are believed of named ones only: see songline.producers.http.callers.
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
