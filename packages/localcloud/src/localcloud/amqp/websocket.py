"""AMQP over WebSockets, on the port that speaks AMQP: a client is known by its first byte.

Source: the SDKs of Service Bus and Event Hubs. The path is `/$servicebus/websocket`, the subprotocol `AMQPWSB10`, and
the binary messages are one stream of bytes. The frames are wsproto's (RFC 6455).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, cast

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

log = logging.getLogger(__name__)

PATH: Final = "/$servicebus/websocket"
SUBPROTOCOL: Final = "AMQPWSB10"
_UNSUPPORTED_DATA: Final = 1003


class FirstByteProtocol(asyncio.Protocol):
    """Waits for the first byte of a client, and hands over to what it speaks.

    `accept` makes the protocol of AMQP. A client that says nothing for `handshake_s` is cut off; it is in `silent`
    until it has said something.
    """

    def __init__(
        self, accept: Callable[[], asyncio.Protocol], handshake_s: float, silent: "set[FirstByteProtocol]"
    ) -> None:
        self._accept = accept
        self._silent = silent
        self._handshake_s = handshake_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._silent.add(self)
        self._timer = asyncio.get_running_loop().call_later(self._handshake_s, self.abort)

    def data_received(self, data: bytes) -> None:
        self._heard()
        inner = self._accept()
        # AMQP begins with its name, HTTP with GET.
        protocol = WebSocketProtocol(inner) if data.startswith(b"G") else inner
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard()

    def abort(self) -> None:
        """Cut the client off."""
        self._transport.abort()

    def _heard(self) -> None:
        self._timer.cancel()
        self._silent.discard(self)


class WebSocketProtocol(asyncio.Protocol):
    """The server's end of a WebSocket whose binary messages are the bytes of `inner`."""

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner
        self._socket = WSConnection(ConnectionType.SERVER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._inner.connection_made(_WebSocketTransport(self._transport, self._send))

    def data_received(self, data: bytes) -> None:
        try:
            self._socket.receive_data(data)
            for event in self._socket.events():
                self._on_event(event)
        except RemoteProtocolError as error:
            log.warning("a WebSocket broke the protocol: %s", error)
            if error.event_hint is not None:
                self._send(error.event_hint)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _on_event(self, event: Event) -> None:
        match event:
            case Request():
                self._answer(event)
            case BytesMessage(data=data):
                self._inner.data_received(bytes(data))
            case TextMessage():
                self._end(CloseConnection(_UNSUPPORTED_DATA, "AMQP comes in binary messages"))
            case Ping():
                self._send(event.response())
            case CloseConnection():
                self._end(event.response())

    def _answer(self, request: Request) -> None:
        if request.target.partition("?")[0].rstrip("/").lower() != PATH:
            self._end(RejectConnection(status_code=404))
        elif SUBPROTOCOL not in request.subprotocols:
            self._end(RejectConnection(status_code=400))
        else:
            self._send(AcceptConnection(subprotocol=SUBPROTOCOL))

    def _end(self, event: Event) -> None:
        self._send(event)
        self._transport.close()

    def _send(self, event: Event) -> None:
        try:
            self._transport.write(self._socket.send(event))
        except LocalProtocolError as error:
            # One side has said that it ends, and nothing may follow.
            log.debug("a WebSocket takes nothing more: %s", error)


class _WebSocketTransport(asyncio.Transport):
    """What AMQP writes to: each piece is a binary message."""

    def __init__(self, transport: asyncio.Transport, send: Callable[[Event], None]) -> None:
        super().__init__()
        self._transport = transport
        self._send = send

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._send(BytesMessage(bytes(data)))

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        if not self._transport.is_closing():
            self._send(CloseConnection(1000))
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)
