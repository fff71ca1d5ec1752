"""A raw AMQP 1.0 client on a socket, for what no well-behaved client does."""

import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from localcloud.amqp.frames import AMQP_HEADER, SASL_FRAME, SASL_HEADER, FrameReader, frame
from localcloud.amqp.performatives import Attach, Begin, Composite, Flow, Open, SaslInit, read_composite
from localcloud.amqp.types import Symbol, Uint

C = TypeVar("C", bound=Composite)
DEADLINE = 60.0


class RawClient:
    """Sends what it is told, and reads what comes, in order. Every wait ends after DEADLINE."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self._reader = FrameReader()
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send(self, performative: Composite, payload: bytes = b"", channel: int = 0) -> None:
        self.send_bytes(frame(channel, performative.encoded() + payload))

    def read(self) -> tuple[Composite, bytes] | None:
        """The next performative with its payload, None at the end of the stream; empty frames are passed over."""
        while True:
            got = self._reader.frame()
            if got is None:
                if not self._fill():
                    return None
            elif got.body:
                performative, end = read_composite(got.body)
                return performative, got.body[end:]

    def expect(self, kind: type[C], where: Callable[[C], bool] = lambda _: True) -> C:
        """The next performative of that kind; others are passed over."""
        while (got := self.read()) is not None:
            if isinstance(got[0], kind) and where(got[0]):
                return got[0]
        raise AssertionError(f"the connection ended before a {kind.__name__} came")

    def header(self) -> bytes:
        """The next protocol header; empty when the stream ends before."""
        while (got := self._reader.header()) is None:
            if not self._fill():
                return b""
        return got

    def read_to_end(self) -> list[Composite]:
        """Everything up to the end of the stream."""
        seen = []
        while (got := self.read()) is not None:
            seen.append(got[0])
        return seen

    def _fill(self) -> bool:
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            return False
        self._reader.feed(data)
        return bool(data)

    # What well-behaved clients do

    def open(
        self, user: str | None = "RootManageSharedAccessKey", password: str = "SAS_KEY_VALUE", **fields: Any
    ) -> Open:
        """SASL PLAIN, or ANONYMOUS without a user, and open; `fields` are of the open."""
        response = f"\0{user}\0{password}".encode()
        init = SaslInit(Symbol("PLAIN"), response) if user else SaslInit(Symbol("ANONYMOUS"))
        self.send_bytes(SASL_HEADER + frame(0, init.encoded(), SASL_FRAME) + AMQP_HEADER)
        self.send(Open("raw", **fields))
        assert self.header() == SASL_HEADER
        while (got := self._reader.frame()) is None or got.body[2] != 0x44:
            if got is None and not self._fill():
                raise AssertionError("the connection ended within SASL")
        assert self.header() == AMQP_HEADER
        return self.expect(Open)

    def begin(self, channel: int = 0, incoming_window: int = 2**31 - 1) -> Begin:
        self.send(
            Begin(next_outgoing_id=Uint(0), incoming_window=Uint(incoming_window), outgoing_window=Uint(2**31 - 1)),
            channel=channel,
        )
        return self.expect(Begin)

    def attach(self, attach: Attach) -> Attach:
        self.send(attach)
        return self.expect(Attach)

    def flow(self, handle: int | None = None, credit: int | None = None, **fields: Any) -> None:
        fields.setdefault("next_incoming_id", Uint(0))
        fields.setdefault("incoming_window", Uint(2**31 - 1))
        self.send(
            Flow(
                next_outgoing_id=Uint(0),
                outgoing_window=Uint(2**31 - 1),
                handle=None if handle is None else Uint(handle),
                link_credit=None if credit is None else Uint(credit),
                **fields,
            )
        )
