"""Links: credit, and messages in and out of transfers (part 2, sections 2.6 and 2.7).

Named after what we do: over a ReceivingLink the client sends.
"""

import asyncio
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from localcloud.amqp.codec import encode
from localcloud.amqp.errors import (
    DECODE_ERROR,
    ERRANT_LINK,
    INTERNAL_ERROR,
    MESSAGE_SIZE_EXCEEDED,
    AmqpError,
    AmqpSessionError,
)
from localcloud.amqp.node import DeliveryState, Inlet, Outlet
from localcloud.amqp.performatives import (
    Accepted,
    Attach,
    Detach,
    Disposition,
    ErrorCondition,
    Flow,
    Rejected,
    Source,
    Target,
    TransactionCoordinator,
    Transfer,
)
from localcloud.amqp.types import Map, Uint, Ulong
from localcloud.faults import FaultRule

if TYPE_CHECKING:
    from localcloud.amqp.session import AmqpSession

CREDIT: Final = 1000
MASK: Final = 0xFFFF_FFFF


class Link(ABC):
    """One end of a link.

    `address` is the path of the node (`hub/Partitions/0`), whether the client wrote it as a URI or bare.
    `resource` is the path that has to stay authorized for as long as the link lives; a service sets it by `authorize`.
    """

    def __init__(self, session: "AmqpSession", attach: Attach, address: str | None) -> None:
        self.session = session
        self.name = attach.name
        self.handle = attach.handle
        self.requested = attach
        self.address = address_path(address or "")
        self.source = attach.source
        self.target = attach.target
        self.properties: Map | None = None
        self.resource: str | None = None
        self.delivery_count = int(attach.initial_delivery_count or 0)
        self.live = False
        self.ended = False

    def authorize(self, resource: str) -> None:
        """Raises AmqpError (unauthorized) unless the connection may use `resource` now."""
        self.session.connection.authorize(resource)
        self.resource = resource

    def detach(self, error: Exception | None = None) -> None:
        """End the link from our side; `error` that is no AmqpError is told as an internal one."""
        if self.ended:
            return
        self.end()
        self.session.send(Detach(self.handle, closed=True, error=wire_error(error)))

    def end(self) -> None:
        """No more of this link: what its node holds for it is let go."""
        if not self.ended:
            self.ended = True
            self._on_end()

    @abstractmethod
    def _on_end(self) -> None: ...

    @abstractmethod
    def attached(self) -> Attach:
        """Our answer to the client's attach."""


class ReceivingLink(Link):
    """The client sends, the inlet takes.

    `max_message_size` in bytes is told to the client; a bigger message is rejected when it has come to its end.
    """

    inlet: Inlet | None = None

    def __init__(self, session: "AmqpSession", attach: Attach) -> None:
        super().__init__(session, attach, attach.target.address if isinstance(attach.target, Target) else None)
        self.max_message_size = 1_048_576
        self._credit = 0
        self._transfer: Transfer | None = None
        self._chunks: list[bytes] = []
        self._size = 0

    @property
    def is_coordinator(self) -> bool:
        return isinstance(self.target, TransactionCoordinator)

    def attached(self) -> Attach:
        return Attach(
            name=self.name,
            handle=self.handle,
            role=True,
            snd_settle_mode=self.requested.snd_settle_mode,
            source=self.source or Source(),
            target=self.target,
            max_message_size=Ulong(self.max_message_size),
            properties=self.properties,
        )

    def replenish(self) -> None:
        """Grant credit again once half of it is used."""
        if self._credit <= CREDIT // 2 and self.live and not self.ended:
            self._credit = CREDIT
            self.report()

    def report(self) -> None:
        """Tell the client how things stand."""
        self.session.flow(self.handle, Uint(self.delivery_count), Uint(max(0, self._credit)))

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Raises AmqpSessionError when the transfer doesn't continue the delivery it should."""
        first = self._transfer
        if first is None:
            if transfer.delivery_id is None:
                raise AmqpSessionError(DECODE_ERROR, "the first transfer of a delivery has no delivery-id")
            self._transfer = first = transfer
        elif transfer.delivery_id not in (None, first.delivery_id):
            raise AmqpSessionError(
                ERRANT_LINK, f"delivery {transfer.delivery_id} began before {first.delivery_id} had ended"
            )
        first.settled = first.settled or transfer.settled
        self._size += len(payload)
        if self._size > self.max_message_size:
            self._chunks.clear()
        else:
            self._chunks.append(payload)
        if transfer.more and not transfer.aborted:
            return
        delivery = Delivery(self, first, b"".join(self._chunks))
        size, self._size, self._chunks, self._transfer = self._size, 0, [], None
        self.delivery_count = self.delivery_count + 1 & MASK
        self._credit -= 1
        if not transfer.aborted:
            self._hand_over(delivery, size)
        self.replenish()

    def _hand_over(self, delivery: "Delivery", size: int) -> None:
        self.session.connection.hold(len(delivery.payload))
        if size > self.max_message_size:
            limit = f"a message of {size} bytes, the link allows {self.max_message_size}"
            delivery.reject(AmqpError(MESSAGE_SIZE_EXCEEDED, limit))
        elif self.inlet and not self.ended:
            self.inlet.on_delivery(delivery)

    def _on_end(self) -> None:
        self._chunks.clear()
        if self.inlet:
            self.inlet.on_detached()


class Delivery:
    """A message from a client. Whoever takes it settles it once."""

    __slots__ = ("_held", "delivery_id", "link", "message_format", "payload", "presettled", "tag")

    def __init__(self, link: ReceivingLink, transfer: Transfer, payload: bytes) -> None:
        assert transfer.delivery_id is not None
        self.link = link
        self.delivery_id = transfer.delivery_id
        self.tag = transfer.delivery_tag or b""
        self.message_format = int(transfer.message_format or 0)
        self.payload = payload
        self.presettled = bool(transfer.settled)
        self._held = True

    def accept(self) -> None:
        self.settle(Accepted())

    def reject(self, error: Exception) -> None:
        self.settle(Rejected(wire_error(error)))

    def settle(self, state: DeliveryState) -> None:
        """Tell the client the outcome, unless it asked not to be told."""
        if not self._held:
            return
        self._held = False
        session = self.link.session
        session.connection.let_go(len(self.payload))
        if not self.presettled:
            session.send(Disposition(role=True, first=self.delivery_id, settled=True, state=state))


class SendingLink(Link):
    """The outlet gives, the client receives, as far as its credit goes."""

    outlet: Outlet | None = None
    paused = False

    def __init__(self, session: "AmqpSession", attach: Attach) -> None:
        super().__init__(session, attach, attach.source.address if attach.source else None)
        self.delivery_count = 0
        self.credit = 0
        self.drain = False
        self.settles_on_send = attach.snd_settle_mode == 1
        # Asked before a message: the fault that strikes it. The link may be paused or ended then.
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
        """May a message be sent now? When only the socket or the window stands in the way, on_credit comes again."""
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
            self.report()

    def pump(self) -> None:
        if self.outlet is None or self.ended or not self.live:
            return
        self.outlet.on_credit()
        if self.drain and self.sendable:
            self.outlet.on_drain()

    def drained(self) -> None:
        """There is nothing to send for the credit that is left: give it back."""
        if self.drain and not self.ended:
            self.delivery_count = self.delivery_count + self.credit & MASK
            self.credit = 0
            self.report()

    def report(self) -> None:
        """Tell the client how things stand."""
        self.session.flow(self.handle, Uint(self.delivery_count), Uint(self.credit), drain=self.drain)

    def send(
        self, payload: bytes, tag: bytes, *, settled: bool, message_format: int = 0, context: object = None
    ) -> "OutgoingDelivery":
        """Send one message, for which there must be credit; `context` is for whoever hears of its outcome."""
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
        """Our last word on it: the client, which has told an outcome, waits for this."""
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


def address_path(address: str) -> str:
    """The path of an address: what comes after `scheme://host/`, or else all of it, without outer slashes."""
    return (address.split("://", 1)[1].partition("/")[2] if "://" in address else address).strip("/")


def wire_error(error: Exception | None) -> ErrorCondition | None:
    """The error as the client is told it: of one that is not meant for clients, no more than that there was one."""
    if error is None:
        return None
    if isinstance(error, AmqpError):
        return ErrorCondition.from_exception(error)
    return ErrorCondition(INTERNAL_ERROR, "the service failed; its log has the reason")
