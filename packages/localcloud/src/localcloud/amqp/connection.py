"""Connections: handshake, channels, idle time-outs, back-pressure (part 2, section 2.4)."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, cast

from localcloud.amqp import sasl
from localcloud.amqp.codec import DecodeError
from localcloud.amqp.config import AmqpConfig
from localcloud.amqp.errors import (
    DECODE_ERROR,
    FRAMING_ERROR,
    INTERNAL_ERROR,
    NOT_ALLOWED,
    RESOURCE_LIMIT_EXCEEDED,
    AmqpConnectionError,
    AmqpError,
    AmqpSessionError,
    inactive,
)
from localcloud.amqp.frames import (
    AMQP_FRAME,
    AMQP_HEADER,
    EMPTY_FRAME,
    MAX_FRAME_SIZE,
    MIN_MAX_FRAME_SIZE,
    SASL_FRAME,
    SASL_HEADER,
    Frame,
    FrameReader,
    frame,
)
from localcloud.amqp.link import wire_error
from localcloud.amqp.node import AmqpService
from localcloud.amqp.output_buffer import OutputBuffer
from localcloud.amqp.performatives import (
    Begin,
    Close,
    Composite,
    End,
    Open,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    read_composite,
)
from localcloud.amqp.rights import check_grants, check_request_token
from localcloud.amqp.session import AmqpSession
from localcloud.amqp.types import Map, Symbol, Ubyte, Uint, Ushort, Value
from localcloud.sas import CredentialError, Grant, Keys, Right

log = logging.getLogger(__name__)

CHANNEL_MAX: Final = 4999
HELD_LIMIT: Final = 64 << 20  # bytes of unsettled deliveries from the client, beyond which we stop to read
PRODUCT: Final[Map] = {Symbol("product"): "localcloud", Symbol("version"): "1"}


class AmqpConnection(asyncio.Protocol):
    """The server's end of one connection.

    `now` gives the time in Unix seconds. `admit` says whether there is room for one more client, who `is_counted` then.
    The protocol's states are the functions that take the next bytes.
    """

    def __init__(
        self,
        container_id: str,
        service: AmqpService,
        keys: Keys,
        now: Callable[[], float],
        on_end: Callable[["AmqpConnection"], None],
        config: AmqpConfig,
        admit: Callable[[], bool],
    ) -> None:
        self.container_id = container_id
        self.service = service
        self.keys = keys
        self.now = now
        self.peer_max_frame_size = MIN_MAX_FRAME_SIZE
        self.grants: dict[str, Grant] = {}
        self.sessions: dict[int, AmqpSession] = {}
        self.remote_container = ""
        self._peer = ""
        self.is_counted = False
        self._admit = admit
        self._on_end = on_end
        self._config = config
        self._reader = FrameReader()
        self._state: Callable[[], bool] = self._first_header
        self._begun = False
        self._opened = False
        self._held = 0
        self._ended: set[int] = set()  # channels whose sessions are over: clients may still send there

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._begun = True
        self._transport = cast(asyncio.Transport, transport)
        host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
        self._peer = f"{self.container_id}: {host}:{port}"
        self.output = OutputBuffer(self._transport)
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(self._config.handshake_s, self._handshake_too_slow)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        self._reader.feed(data)
        try:
            while self._state():
                pass
        except AmqpError as error:
            self.close(error)
        except DecodeError as error:
            self.close(AmqpError(DECODE_ERROR, str(error)))
        except Exception:
            log.exception("%s: a connection failed", self._peer)
            self.close(AmqpError(INTERNAL_ERROR, "the server failed; its log has the reason"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._end_sessions()
        self._on_end(self)

    def pause_writing(self) -> None:
        self.output.pause()

    def resume_writing(self) -> None:
        self.output.resume()

    def send(self, data: bytes) -> None:
        """Send a whole frame."""
        self.output.send([data], len(data))

    def add_unsettled(self, size: int) -> None:
        """Count a delivery that is not settled yet; too many bytes of those stop the reading."""
        if self._held < HELD_LIMIT <= self._held + size:
            self._transport.pause_reading()
        self._held += size

    def remove_unsettled(self, size: int) -> None:
        """Stop counting a delivery that was settled."""
        if self._held - size < HELD_LIMIT <= self._held:
            self._transport.resume_reading()
        self._held -= size

    # Rights

    def authorize(self, path: str, right: Right | None = None) -> None:
        """Raises AmqpError (unauthorized) unless a good credential covers `path` now, with this right or any."""
        check_grants(self.grants.values(), path, right, self.now())

    def authorize_by(self, token: Value, path: str) -> None:
        """Raises AmqpError (unauthorized) unless `token`, which came with a request, covers `path` now."""
        check_request_token(self.keys, token, path, self.now())

    # States: each takes what it can from the reader, and says whether it took something.

    def _first_header(self) -> bool:
        header = self._reader.header()
        if header == SASL_HEADER:
            self.send(SASL_HEADER)
            self.send(frame(0, SaslMechanisms(sasl.MECHANISMS).encoded(), SASL_FRAME))
            self._state = self._sasl_init
        elif header == AMQP_HEADER:
            self.send(AMQP_HEADER)
            self._state = self._open
        elif header is not None:
            self._reject_header(SASL_HEADER)
        return header is not None

    def _sasl_init(self) -> bool:
        got = self._reader.frame()
        if got is None:
            return False
        init, _ = read_composite(got.body)
        if isinstance(init, Close):  # the client gives up: Azure's Python SDK says so in any state
            self.close()
            return False
        if got.kind != SASL_FRAME or not isinstance(init, SaslInit):
            raise AmqpConnectionError(
                FRAMING_ERROR, f"{init.NAME} came in a frame of type {got.kind} where sasl-init was expected"
            )
        try:
            grant = sasl.authenticate(init.mechanism, init.initial_response or b"", self.keys)
        except CredentialError as reason:
            log.warning("%s: SASL refused: %s", self._peer, reason)
            self.send(frame(0, SaslOutcome(Ubyte(sasl.AUTH_FAILED)).encoded(), SASL_FRAME))
            self._hang_up()
            return False
        if grant:
            self.grants["sasl"] = grant
        self.send(frame(0, SaslOutcome(Ubyte(sasl.OK)).encoded(), SASL_FRAME))
        self._state = self._second_header
        return True

    def _second_header(self) -> bool:
        header = self._reader.header()
        if header == AMQP_HEADER:
            self.send(AMQP_HEADER)
            self._state = self._open
        elif header is not None:
            self._reject_header(AMQP_HEADER)
        return header is not None

    def _reject_header(self, supported: bytes) -> None:
        self.send(supported)
        self._hang_up()

    def _open(self) -> bool:
        got = self._reader.frame()
        if got is None:
            return False
        performative = self._performative(got)
        if performative is None:
            return True
        opening, _ = performative
        if isinstance(opening, Close):
            self.close()
            return False
        if not isinstance(opening, Open):
            raise AmqpConnectionError(NOT_ALLOWED, f"{opening.NAME} before open")
        if opening.max_frame_size < MIN_MAX_FRAME_SIZE:
            raise AmqpConnectionError(
                NOT_ALLOWED, f"max-frame-size {opening.max_frame_size}: the least is {MIN_MAX_FRAME_SIZE}"
            )
        self.is_counted = self._admit()
        if not self.is_counted:
            # The service's words.
            raise AmqpConnectionError(
                RESOURCE_LIMIT_EXCEEDED, f"ConnectionsQuotaExceeded for namespace: {self.container_id}."
            )
        self.remote_container = opening.container_id
        self.peer_max_frame_size = min(opening.max_frame_size, MAX_FRAME_SIZE)
        self._send_open()
        interval = self._config.keep_alive_s
        if opening.idle_time_out:
            if opening.idle_time_out < 100:
                raise AmqpConnectionError(
                    RESOURCE_LIMIT_EXCEEDED, f"idle-time-out {opening.idle_time_out} ms: the least is 100 ms"
                )
            interval = min(interval, opening.idle_time_out / 2000)
        self._state = self._frames
        self._timer.cancel()
        self._timer = self._loop.call_later(interval, self._tick, interval)
        return True

    def _send_open(self) -> None:
        self._opened = True
        answer = Open(
            self.container_id,
            max_frame_size=Uint(MAX_FRAME_SIZE),
            channel_max=Ushort(CHANNEL_MAX),
            idle_time_out=Uint(int(self._config.idle_s * 1000)),
            properties=PRODUCT,
        )
        self.send(frame(0, answer.encoded()))

    def _frames(self) -> bool:
        got = self._reader.frame()
        if got is None:
            return False
        performative = self._performative(got)
        if performative is None:
            return True
        match performative[0]:
            case Close():
                self._end_sessions()
                self.send(frame(0, Close().encoded()))
                self._hang_up()
            case Begin():
                self._begin(got.channel, performative[0])
            case End():
                self._end(got.channel)
            case _:
                self._to_session(got.channel, *performative)
        return True

    def _performative(self, got: Frame) -> tuple[Composite, bytes] | None:
        if got.kind != AMQP_FRAME:
            raise AmqpConnectionError(FRAMING_ERROR, f"a frame of type {got.kind} among AMQP frames")
        if not got.body:
            return None
        performative, end = read_composite(got.body)
        return performative, got.body[end:]

    def _begin(self, channel: int, begin: Begin) -> None:
        if channel > CHANNEL_MAX:
            raise AmqpConnectionError(FRAMING_ERROR, f"channel {channel}: the highest is {CHANNEL_MAX}")
        if channel in self.sessions:
            raise AmqpConnectionError(NOT_ALLOWED, f"channel {channel} has a session already")
        if begin.remote_channel is not None:
            raise AmqpConnectionError(NOT_ALLOWED, "the answer to a session that we never began")
        self._ended.discard(channel)
        self.sessions[channel] = AmqpSession(self, channel, begin)

    def _end(self, channel: int) -> None:
        if channel in self._ended:
            return
        self._session(channel).end()
        self._send_end(channel, End())

    def _send_end(self, channel: int, end: End) -> None:
        del self.sessions[channel]
        self._ended.add(channel)
        self.send(frame(channel, end.encoded()))

    def _to_session(self, channel: int, performative: Composite, payload: bytes) -> None:
        if channel in self._ended:
            return
        session = self._session(channel)
        try:
            session.on_frame(performative, payload)
        except AmqpSessionError as fault:
            session.end()
            self._send_end(channel, End(wire_error(fault)))

    def _session(self, channel: int) -> AmqpSession:
        session = self.sessions.get(channel)
        if session is None:
            raise AmqpConnectionError(NOT_ALLOWED, f"channel {channel} has no session")
        return session

    def _nothing_more(self) -> bool:
        self._reader = FrameReader()
        return False

    # The end

    def close(self, error: AmqpError | None = None) -> None:
        """Send the client the reason, and end the connection. One that still shakes hands is left to its time-out."""
        if not self._begun or self._state == self._nothing_more:
            return
        level = logging.WARNING if error else logging.DEBUG
        log.log(level, "%s: closing %r: %s", self._peer, self.remote_container, error)
        if self._state in (self._open, self._frames):
            if not self._opened:
                self._send_open()
            self._end_sessions()
            self.send(frame(0, Close(wire_error(error)).encoded()))
        self._hang_up()

    def abort(self) -> None:
        """Cut the connection without a close frame."""
        self._state = self._nothing_more
        self._end_sessions()
        self._timer.cancel()
        self._transport.abort()

    def _hang_up(self) -> None:
        """End the socket after what is to be sent. Read on for `linger_s`: a reset would lose what was sent last."""
        self._state = self._nothing_more
        self._end_sessions()
        self.output.finish()
        self._timer.cancel()
        if self._held >= HELD_LIMIT:
            self._transport.resume_reading()
        self._timer = self._loop.call_later(self._config.linger_s, self._transport.abort)

    def _end_sessions(self) -> None:
        for session in self.sessions.values():
            session.end()
        self.sessions.clear()
        self.output.forget_waiting()

    def _handshake_too_slow(self) -> None:
        log.warning("%s: did not open its connection within %g s", self._peer, self._config.handshake_s)
        self._transport.abort()

    def _tick(self, interval: float) -> None:
        now = self._loop.time()
        if now - self._heard > self._config.silence_s:
            self.close(inactive(self._config.silence_s, self.container_id))
            return
        if now - self.output.last >= interval * 0.9:
            self.send(EMPTY_FRAME)
        self._detach_unauthorized()
        self._timer = self._loop.call_later(interval, self._tick, interval)

    def _detach_unauthorized(self) -> None:
        for session in self.sessions.values():
            for link in list(session.links.values()):
                try:
                    if link.resource is not None and not link.ended:
                        self.authorize(link.resource, link.right)
                except AmqpError as error:
                    link.detach(error)
