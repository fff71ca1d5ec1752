"""Links over which the client receives: credit, and messages into transfers (part 2, sections 2.6 and 2.7)."""

import asyncio
import struct
from collections.abc import Callable
from typing import Final, Protocol

from localcloud.amqp.codec import encode
from localcloud.amqp.link import Link, LinkSession
from localcloud.amqp.performatives import Attach, DeliveryState, Disposition, Flow, Target
from localcloud.amqp.serial_number import MASK
from localcloud.amqp.types import Uint
from localcloud.faults import FaultRule


class SendingSession(LinkSession, Protocol):
    """A session, as links that send see it."""

    @property
    def channel(self) -> int: ...

    @property
    def window(self) -> int:
        """How many frames the client takes now."""

    @property
    def next_outgoing_id(self) -> int: ...

    @property
    def unsettled(self) -> dict[int, "OutgoingDelivery"]:
        """Deliveries whose outcome is open, by delivery-id."""

    def can_send(self, link: "SendingLink") -> bool:
        """Whether there is room on the socket and in the window; if not on the socket, the link is pumped later."""

    def transfer(self, delivery: "OutgoingDelivery", payload: bytes, settled: bool, message_format: int) -> None:
        """Send a message, in as many frames as it takes."""

    def transferred(self, frames: list[bytes], size: int, count: int) -> None:
        """Send `count` transfer frames that the link has put together, of `size` bytes in all."""

    def forget_backlog(self, link: "SendingLink") -> None:
        """Drop the link's frames that wait for the window."""


class Outlet:
    """Gives a client what it receives over one link."""

    link: "SendingLink"

    def on_attached(self) -> None:
        """The attach was sent to the client."""

    def on_credit(self) -> None:
        """Send what there is, while `link.sendable`. Called whenever that may have become true."""

    def on_drain(self) -> None:
        """The client drains the link, and everything there was has been sent. An outlet may return the credit later."""
        self.link.return_credit()

    def on_outcome(self, delivery: "OutgoingDelivery", state: DeliveryState, settled: bool) -> None:
        """The client's outcome of an unsettled delivery, which may come after the link has ended."""

    def on_detached(self) -> None:
        """The link has ended. Called once."""


class SendingLink(Link):
    """The client receives what the outlet sends, up to its credit."""

    outlet: Outlet | None = None
    paused = False
    session: SendingSession

    def __init__(self, session: SendingSession, attach: Attach) -> None:
        super().__init__(session, attach, attach.source.address if attach.source else None)
        self.delivery_count = 0
        self.credit = 0
        self.drain = False
        self.settles_on_send = attach.snd_settle_mode == 1
        # Returns the fault that strikes the next message. It may have paused or ended the link.
        self.strike: Callable[[], FaultRule | None] = _unharmed
        self._prefix = b""
        self._suffix: dict[bytes, bytes] = {}

    def attached(self) -> Attach:
        return Attach(
            name=self.name,
            handle=self.handle,
            role=False,
            snd_settle_mode=self.requested.snd_settle_mode,
            rcv_settle_mode=self.requested.rcv_settle_mode,
            source=self.source,
            target=self.target if isinstance(self.target, Target) else Target(),
            initial_delivery_count=Uint(0),
            max_message_size=self.requested.max_message_size,
            properties=self.properties,
        )

    @property
    def sendable(self) -> bool:
        """Whether a message may be sent now. If only the socket or the window is full, on_credit is called again."""
        if self.credit <= 0 or self.paused or not self.live or self.ended:
            return False
        return self.session.can_send(self)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long."""
        self.paused = True
        asyncio.get_running_loop().call_later(seconds, self._resume)

    def _resume(self) -> None:
        self.paused = False
        self.pump()

    def on_flow(self, flow: Flow) -> None:
        if flow.link_credit is not None:
            # Negative when the client takes back credit that messages on their way have used.
            outstanding = self.delivery_count - int(flow.delivery_count or 0) & MASK
            self.credit = max(0, int(flow.link_credit) - (outstanding if outstanding < 1 << 31 else 0))
        self.drain = flow.drain
        self.pump()
        if flow.echo and not self.drain:
            self.send_flow()

    def pump(self) -> None:
        if self.outlet is None or self.ended or not self.live:
            return
        self.outlet.on_credit()
        if self.drain and self.sendable:
            self.outlet.on_drain()

    def return_credit(self) -> None:
        """Give back the credit that is left, because there is nothing to send."""
        if self.drain and not self.ended:
            self.delivery_count = self.delivery_count + self.credit & MASK
            self.credit = 0
            self.send_flow()

    def send_flow(self) -> None:
        """Send the client the link's delivery count and credit."""
        self.session.flow(self.handle, Uint(self.delivery_count), Uint(self.credit), drain=self.drain)

    def send(
        self, payload: bytes, tag: bytes, *, settled: bool, message_format: int = 0, context: object = None
    ) -> "OutgoingDelivery":
        """Send one message, for which there must be credit. `context` is kept for `on_outcome`."""
        delivery = OutgoingDelivery(self, tag, context)
        self.credit -= 1
        self.delivery_count = self.delivery_count + 1 & MASK
        self.session.transfer(delivery, payload, settled, message_format)
        return delivery

    def send_settled(self, payloads: list[bytes], start: int, tag: bytes) -> int:
        """Send what may be sent of payloads[start:], settled, all under one tag; returns how many went.

        The way for small messages in great numbers: a frame is put together from prepared parts.
        """
        session = self.session
        limit = session.connection.peer_max_frame_size
        went = 0
        while start + went < len(payloads) and self.sendable:
            room = min(self.credit, session.window, len(payloads) - start - went, 256)
            head, suffix = self._parts(tag)
            pack, base, extra = _HEAD.pack, session.next_outgoing_id, len(suffix) + _HEAD.size
            frames: list[bytes] = []
            size = 0
            count = 0
            for payload in payloads[start + went : start + went + room]:
                length = extra + len(payload)
                if length > limit:
                    break
                frames += (pack(length, head, base + count & MASK), suffix, payload)
                size += length
                count += 1
            if count:
                session.transferred(frames, size, count)
                self.credit -= count
                self.delivery_count = self.delivery_count + count & MASK
            else:
                self.send(payloads[start + went], tag, settled=True)
                count = 1
            went += count
        return went

    def _parts(self, tag: bytes) -> tuple[bytes, bytes]:
        """The bytes of a transfer frame before and after the delivery-id, for single settled transfers."""
        suffix = self._suffix.get(tag)
        if suffix is None:
            suffix = self._suffix[tag] = encode(tag) + b"\x43\x41\x42\x40\x40\x42\x42\x42"
            channel = self.session.channel.to_bytes(2)
            size = 1 + 2 + 5 + len(suffix)
            self._prefix = b"\x02\x00" + channel + b"\x00\x53\x14\xc0" + bytes((size, 11, 0x52, self.handle, 0x70))
        return self._prefix, suffix

    def _on_end(self) -> None:
        self.session.forget_backlog(self)
        if self.outlet:
            self.outlet.on_detached()


_HEAD: Final = struct.Struct(">I13sI")


class OutgoingDelivery:
    """A message on its way to a client."""

    __slots__ = ("context", "delivery_id", "link", "tag")

    def __init__(self, link: SendingLink, tag: bytes, context: object) -> None:
        self.link = link
        self.tag = tag
        self.context = context
        self.delivery_id = Uint(0)

    def settle(self, state: DeliveryState) -> None:
        """Settle it for good. A client that sent an outcome waits for this."""
        session = self.link.session
        session.unsettled.pop(self.delivery_id, None)
        session.send(Disposition(role=False, first=self.delivery_id, settled=True, state=state))


def transfer_head(
    handle: int, delivery_id: int, tag: bytes, message_format: int, *, settled: bool, more: bool
) -> bytes:
    """A transfer performative."""
    fields = b"".join(
        (
            bytes((0x52, handle)),
            b"\x70" + delivery_id.to_bytes(4),
            encode(tag),
            encode(Uint(message_format)),
            b"\x41" if settled else b"\x42",
            b"\x41" if more else b"\x42",
            b"\x40\x40\x42\x42\x42",
        )
    )
    return b"\x00\x53\x14\xc0" + bytes((len(fields) + 1, 11)) + fields


def _unharmed() -> None:
    """No fault strikes."""
