"""The API's HTTP server: uvicorn with a deadline for the head of a request.

uvicorn over httptools waits without limit for the rest of a request. `PatientProtocol` limits the time for the head,
also on a new connection without any bytes. `songline.producers.http.body_pacing` limits bodies, and uvicorn's
keep-alive limits idle connections.

asyncio by itself reads 256 KiB at most, each time into new memory. All connections here read into one buffer, twice as
large: each piece of a body costs turns of the loop, whatever its size.
"""

import asyncio
import gc
from collections.abc import Mapping
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from songline.cloud.settings import read_number

HEAD = "SONGLINE_HEAD_TIMEOUT"
HEAD_S = 20.0
# The limit of a head. httptools has none, and would keep on collecting it.
HEAD_BYTES = 64 * 1024
READ_BYTES = 512 * 1024
COLLECTED = 5_000
"""Python's collector runs once there are so many more objects than at its last run. Its usual 700 are those of a few
requests, which go by themselves."""
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class PatientProtocol(HttpToolsProtocol, asyncio.BufferedProtocol):
    """Closes a connection if the head of a request is not whole after `head_s` seconds or exceeds HEAD_BYTES.

    The connections of a server read into `buffer`, one after the other. `patient_protocol` makes a class that has one.
    """

    head_s: float
    buffer: memoryview

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

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        # Between requests only uvicorn's keep-alive timer runs, which uvicorn cancels at the first byte.
        if self._head_timer is None and self._is_between():
            self._expect_head()
        if self._head_timer is not None and not self._is_leftover():
            self._head_bytes += nbytes
        # httptools takes a view as well, and copies what it passes on.
        self.data_received(cast(bytes, self.buffer[:nbytes]))
        if self._head_timer is not None and self._head_bytes > HEAD_BYTES:
            self._refuse(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._stop()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # uvicorn copies each piece into a bytearray, and that into bytes for the application. What comes while the
        # application waits is passed on as it is. Of further pieces before that, which may be tiny, it makes one.
        cycle: Any = self.cycle
        if not cycle.body and not cycle.response_complete:
            cycle.body, body = body, b""
        elif isinstance(cycle.body, bytes):
            cycle.body = bytearray(cycle.body)
        super().on_body(body)

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing is logged: a request that asks for another protocol is answered in this one (RFC 9110, 7.8)."""

    def _is_between(self) -> bool:
        """Whether the previous request, if there was one, is answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _is_leftover(self) -> bool:
        """Whether the incoming bytes are the rest of a body that was refused before it was read."""
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
            # A connection without a byte gets no answer: it may be a browser's spare connection.
            self._refuse(_TOO_LATE if self._head_bytes else b"")

    def _refuse(self, answer: bytes) -> None:
        self._stop()
        if answer:
            self.transport.write(answer)
        self.transport.close()


def patient_protocol(head_s: float) -> type[PatientProtocol]:
    """The protocol of the connections of one server."""
    return type("PatientProtocol", (PatientProtocol,), {"head_s": head_s, "buffer": memoryview(bytearray(READ_BYTES))})


def read_head(environ: Mapping[str, str]) -> float:
    """The seconds that the head of a request may take; raises SettingError."""
    return read_number(environ, HEAD, HEAD_S, (0.1, 3_600), "seconds that the head of a request may take,")


def serve(app: ASGIApp, host: str, port: int, head_s: float = HEAD_S) -> None:
    """Serve until SIGINT or SIGTERM."""
    # What is here now stays, 130,000 objects. Going through them takes a full collection 75 ms, in which no
    # request is answered.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED, 10, 10)
    uvicorn.run(
        app,
        host=host,
        port=port,
        http=patient_protocol(head_s),
        # Whatever library is installed: no operation is a websocket, and none is to go around the deadlines here.
        ws="none",
        access_log=False,
        # Its lines go where all others do.
        log_config=None,
        server_header=False,
        # Only the addresses that configured proxies pass on are trusted: see songline.producers.http.callers.
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
