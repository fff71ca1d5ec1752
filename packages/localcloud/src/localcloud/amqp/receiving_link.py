"""Links over which the client sends: credit, and messages out of transfers (part 2, sections 2.6 and 2.7)."""

from abc import ABC, abstractmethod
from typing import Final

from localcloud.amqp.errors import DECODE_ERROR, ERRANT_LINK, MESSAGE_SIZE_EXCEEDED, AmqpError, AmqpSessionError
from localcloud.amqp.link import Link, LinkSession, wire_error
from localcloud.amqp.performatives import (
    Accepted,
    Attach,
    DeliveryState,
    Disposition,
    Rejected,
    Source,
    Target,
    TransactionCoordinator,
    Transfer,
)
from localcloud.amqp.serial_number import MASK
from localcloud.amqp.types import Uint, Ulong

CREDIT: Final = 1000


class Inlet(ABC):
    """Takes what a client sends over one link."""

    def on_attached(self) -> None:  # noqa: B027 - an inlet may ignore it, as below
        """The attach was sent to the client."""

    @abstractmethod
    def on_delivery(self, delivery: "Delivery") -> None:
        """Settle it now or later. Until then its bytes count towards the connection's limit of unsettled bytes."""

    def on_detached(self) -> None:  # noqa: B027
        """The link has ended. Called once."""


class ReceivingLink(Link):
    """The client sends, the inlet takes.

    `max_message_size` in bytes is told to the client; a bigger message is rejected when it has come to its end.
    """

    inlet: Inlet | None = None

    def __init__(self, session: LinkSession, attach: Attach) -> None:
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
            self.send_flow()

    def send_flow(self) -> None:
        """Send the client the link's delivery count and credit."""
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
        self.session.connection.add_unsettled(len(delivery.payload))
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
    """A message from a client, to be settled once."""

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
        """Send the client the outcome, unless it sent the delivery settled."""
        if not self._held:
            return
        self._held = False
        session = self.link.session
        session.connection.remove_unsettled(len(self.payload))
        if not self.presettled:
            session.send(Disposition(role=True, first=self.delivery_id, settled=True, state=state))
