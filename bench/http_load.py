"""A load generator for HTTP that is lean enough not to be what is measured: raw asyncio over connections kept open.

It runs in a process of its own. A request is bytes that were made before the clock runs, and of a response it reads the
status and the length.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import quantiles
from time import perf_counter, process_time

from msgspec import Struct

CONNECTIONS = 256
"""So many connections an open loop has at most; a request that finds none free waits, and its time runs."""


class LoadReport(Struct, frozen=True):
    """What became of the requests: how many got each status, and the seconds that each took, from when it was due."""

    statuses: Mapping[int, int]
    seconds: Sequence[float]
    elapsed_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.seconds) / self.elapsed_s

    def percentile_ms(self, percent: int) -> float:
        """The time that so many percent of the requests took at most."""
        return quantiles(self.seconds, n=100, method="inclusive")[percent - 1] * 1000


def request(path: str, content_type: str, body: bytes, token: str) -> bytes:
    """The bytes of a POST that shows an access token."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Authorization: Bearer {token}\r\n\r\n".encode() + body


def run_load(port: int, requests: Sequence[bytes], callers: int | None = None, rate: float | None = None) -> LoadReport:
    """Send `requests` to `port` from a process of its own, and return when all are answered.

    A closed loop has `callers`, each of which sends one request after the other. An open loop sends `rate` requests a
    second, whatever the answers take.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_run, port, requests, callers, rate).result()


def _run(port: int, requests: Sequence[bytes], callers: int | None, rate: float | None) -> LoadReport:
    return asyncio.run(_Load(requests).run(port, callers, rate))


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, load: "_Load") -> None:
        self._load, self._received, self._due = load, bytearray(), 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(self._received) >= end + 4 + length:
            self._received.clear()
            self._load.answered(self, int(head[9:12]), perf_counter() - self._due)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self, error)

    def close(self) -> None:
        self._transport.abort()


class _Load:
    def __init__(self, requests: Sequence[bytes]) -> None:
        self._left = iter(requests)
        self._expected = len(requests)
        self._closed_loop = True
        self._statuses: Counter[int] = Counter()
        self._seconds: list[float] = []
        self._free: list[_Connection] = []
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._end: asyncio.Future[None]

    async def run(self, port: int, callers: int | None, rate: float | None) -> LoadReport:
        loop = asyncio.get_running_loop()
        self._end = loop.create_future()
        made = [
            (await loop.create_connection(lambda: _Connection(self), "127.0.0.1", port))[1]
            for _ in range(callers or CONNECTIONS)
        ]
        begun, cpu = perf_counter(), process_time()
        if rate is None:
            for connection in made:
                self._send_next(connection)
        else:
            self._closed_loop, self._free = False, made
            await self._pace(begun, rate)
        await self._end
        report = LoadReport(dict(self._statuses), self._seconds, perf_counter() - begun, process_time() - cpu)
        for connection in made:
            connection.close()
        return report

    def answered(self, connection: _Connection, status: int, seconds: float) -> None:
        self._statuses[status] += 1
        self._seconds.append(seconds)
        if len(self._seconds) == self._expected:
            self._end.set_result(None)
        elif self._closed_loop:
            self._send_next(connection)
        elif self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._free.append(connection)

    def lost(self, connection: _Connection, error: Exception | None) -> None:
        if connection in self._free:
            # The API ends a connection that rests for some seconds; the open loop rarely needs them all.
            self._free.remove(connection)
        elif not self._end.done():
            self._end.set_exception(ConnectionError(f"saw a connection end ({error}), expected an answer"))

    def _send_next(self, connection: _Connection) -> None:
        following = next(self._left, None)
        if following is not None:
            connection.send(following, perf_counter())

    async def _pace(self, begun: float, rate: float) -> None:
        for number, each in enumerate(self._left):
            due = begun + number / rate
            if (left := due - perf_counter()) > 0:
                await asyncio.sleep(left)
            if self._free:
                self._free.pop().send(each, due)
            else:
                self._waiting.append((each, due))
