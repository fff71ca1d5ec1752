"""The output of one socket: joined once in a turn of the event loop, held back while the peer does not read."""

import asyncio
from typing import Final, Protocol

UNSENT_LIMIT: Final = 1 << 20  # bytes waiting for the socket, beyond which links stop to send


class Sender(Protocol):
    """A link that waits until the socket takes more."""

    def pump(self) -> None:
        """Send what there is, while there is room."""


class OutputBuffer:
    """The bytes for one transport, and the links that wait for room in it. `last` is the time of the last write."""

    def __init__(self, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(high=UNSENT_LIMIT)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self.last = self._loop.time()
        self._parts: list[bytes] = []
        self._unsent = 0
        self._flushing = False
        self._paused = False
        self._finished = False
        self._waiting: dict[Sender, None] = {}

    def send(self, parts: list[bytes], size: int) -> None:
        """Send whole frames, `size` bytes in all, given in parts; those of one turn of the loop go together.

        Nothing is sent once the output is finished: an outcome may be known only after the connection has ended.
        """
        if self._finished:
            return
        self._parts += parts
        self._unsent += size
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    @property
    def writable(self) -> bool:
        return not self._paused and self._unsent < UNSENT_LIMIT

    def wait(self, link: Sender) -> None:
        """Pump `link` when there is room on the socket, after those that have waited for longer."""
        self._waiting[link] = None

    def flush(self) -> None:
        self._flushing = False
        data = b"".join(self._parts)
        self._parts.clear()
        self._unsent = 0
        if data and not self._transport.is_closing():
            self.last = self._loop.time()
            self._transport.write(data)
        self._serve_waiting()

    def finish(self) -> None:
        """Flush, and tell the client that nothing more comes."""
        self.flush()
        self._finished = True
        if self._transport.is_closing():
            return
        if not self._transport.can_write_eof():
            # TLS sends what there is and then its end, and reads on until the client answers with its own.
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # the client has hung up already
            self._transport.abort()

    def pause(self) -> None:
        """Stop sending: the transport is full."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._serve_waiting()

    def forget_waiting(self) -> None:
        self._waiting.clear()

    def _serve_waiting(self) -> None:
        while self._waiting and self.writable:
            link = next(iter(self._waiting))
            del self._waiting[link]
            link.pump()
