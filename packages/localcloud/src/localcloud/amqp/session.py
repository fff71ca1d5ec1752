"""Sessions: windows, and which link a frame is for (part 2, section 2.5)."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable
from typing import Final, Protocol

from localcloud.amqp.errors import (
    HANDLE_IN_USE,
    INVALID_FIELD,
    NOT_ALLOWED,
    NOT_IMPLEMENTED,
    UNATTACHED_HANDLE,
    AmqpError,
    AmqpSessionError,
)
from localcloud.amqp.frames import frame
from localcloud.amqp.link import Link, LinkConnection, wire_error
from localcloud.amqp.node import AmqpService
from localcloud.amqp.output_buffer import OutputBuffer
from localcloud.amqp.performatives import (
    Attach,
    Begin,
    Composite,
    Detach,
    Disposition,
    Flow,
    Transfer,
)
from localcloud.amqp.receiving_link import Inlet, ReceivingLink
from localcloud.amqp.sending_link import OutgoingDelivery, Outlet, SendingLink, transfer_head
from localcloud.amqp.serial_number import MASK
from localcloud.amqp.types import Uint, Ushort

log = logging.getLogger(__name__)

HANDLE_MAX: Final = 255
WINDOW: Final = Uint(2**31 - 1)


class SessionConnection(LinkConnection, Protocol):
    """A connection, as sessions see it."""

    @property
    def service(self) -> AmqpService: ...

    @property
    def output(self) -> OutputBuffer: ...

    def send(self, data: bytes) -> None:
        """Send a whole frame."""


class AmqpSession:
    """One session of a connection; its channel and its links' handles are the ones the client chose."""

    def __init__(self, connection: SessionConnection, channel: int, begin: Begin) -> None:
        self.connection = connection
        self.channel = channel
        self.links: dict[int, Link] = {}
        self.unsettled: dict[int, OutgoingDelivery] = {}
        self.window = int(begin.incoming_window)
        self.next_outgoing_id = 0
        self._next_incoming_id = int(begin.next_outgoing_id)
        self._backlog: deque[tuple[OutgoingDelivery, bytes, bool]] = deque()
        self._attaching: dict[int, asyncio.Task[None]] = {}
        self.send(
            Begin(
                remote_channel=Ushort(channel),
                next_outgoing_id=Uint(0),
                incoming_window=WINDOW,
                outgoing_window=WINDOW,
                handle_max=Uint(HANDLE_MAX),
            )
        )

    # Out

    def send(self, performative: Composite) -> None:
        self.connection.send(frame(self.channel, performative.encoded()))

    def flow(
        self,
        handle: Uint | None = None,
        delivery_count: Uint | None = None,
        credit: Uint | None = None,
        *,
        drain: bool = False,
    ) -> None:
        self.send(
            Flow(
                next_incoming_id=Uint(self._next_incoming_id),
                incoming_window=WINDOW,
                next_outgoing_id=Uint(self.next_outgoing_id),
                outgoing_window=WINDOW,
                handle=handle,
                delivery_count=delivery_count,
                link_credit=credit,
                drain=drain,
            )
        )

    def can_send(self, link: SendingLink) -> bool:
        """Whether there is room on the socket and in the window. If the socket is full, the link is pumped later."""
        if not self.connection.output.writable:
            self.connection.output.wait(link)
            return False
        return self.window > 0 and not self._backlog

    def transfer(self, delivery: OutgoingDelivery, payload: bytes, settled: bool, message_format: int) -> None:
        """Send a message, in as many frames as the client's frame size asks for; what the window holds back, later."""
        link = delivery.link
        delivery.delivery_id = Uint(self.next_outgoing_id + len(self._backlog) & MASK)
        if not settled:
            self.unsettled[delivery.delivery_id] = delivery
        head = [
            transfer_head(link.handle, delivery.delivery_id, delivery.tag, message_format, settled=settled, more=more)
            for more in (True, False)
        ]
        room = self.connection.peer_max_frame_size - 8 - len(head[0])
        for at in range(0, len(payload) or 1, room):
            last = at + room >= len(payload)
            self._backlog.append((delivery, head[last] + payload[at : at + room], last))
        self._send_backlog()

    def transferred(self, frames: list[bytes], size: int, count: int) -> None:
        """Count `count` transfer frames that a link has put together, and send them."""
        self.next_outgoing_id = self.next_outgoing_id + count & MASK
        self.window -= count
        self.connection.output.send(frames, size)

    def forget_backlog(self, link: SendingLink) -> None:
        if self._backlog:
            self._backlog = deque(entry for entry in self._backlog if entry[0].link is not link)

    def _send_backlog(self) -> None:
        while self._backlog and self.window > 0:
            _, body, _ = self._backlog.popleft()
            self.connection.send(frame(self.channel, body))
            self.next_outgoing_id = self.next_outgoing_id + 1 & MASK
            self.window -= 1

    # In

    def on_frame(self, performative: Composite, payload: bytes) -> None:
        """Raises AmqpSessionError for what ends the session."""
        match performative:
            case Transfer():
                self._on_transfer(performative, payload)
            case Flow():
                self._on_flow(performative)
            case Disposition():
                self._on_disposition(performative)
            case Attach():
                self._on_attach(performative)
            case Detach():
                self._on_detach(performative)
            case _:
                raise AmqpSessionError(NOT_ALLOWED, f"{performative.NAME} is out of place in a session")

    def end(self) -> None:
        """End all links without sending a frame."""
        for task in self._attaching.values():
            task.cancel()
        for link in list(self.links.values()):
            link.end()
        self.links.clear()
        self.unsettled.clear()
        self._backlog.clear()

    def _link(self, handle: int) -> Link:
        link = self.links.get(handle)
        if link is None:
            raise AmqpSessionError(UNATTACHED_HANDLE, f"no link is attached to handle {handle}")
        return link

    def _on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming_id = self._next_incoming_id + 1 & MASK
        link = self._link(transfer.handle)
        if not isinstance(link, ReceivingLink):
            raise AmqpSessionError(NOT_ALLOWED, f"a transfer on handle {transfer.handle}, where we are the sender")
        if not link.ended:
            link.on_transfer(transfer, payload)

    def _on_flow(self, flow: Flow) -> None:
        blocked = self.window == 0 or bool(self._backlog)
        in_flight = self.next_outgoing_id - int(flow.next_incoming_id or 0) & MASK
        self.window = max(0, int(flow.incoming_window) - (in_flight if in_flight < 1 << 31 else 0))
        self._send_backlog()
        if flow.handle is not None:
            link = self._link(flow.handle)
            if isinstance(link, SendingLink):
                link.on_flow(flow)
            elif flow.echo and not link.ended and isinstance(link, ReceivingLink):
                link.send_flow()
        elif flow.echo:
            self.flow()
        if blocked and not self._backlog:
            for link in list(self.links.values()):
                if isinstance(link, SendingLink) and link.handle != flow.handle and link.credit > 0:
                    link.pump()

    def _on_disposition(self, disposition: Disposition) -> None:
        if not disposition.role:
            return  # the client settles what it has sent; we had settled that when we answered
        first, last = int(disposition.first), int(disposition.first if disposition.last is None else disposition.last)
        span = last - first & MASK
        if span < len(self.unsettled):
            ids = [first + step & MASK for step in range(span + 1)]
        else:
            ids = [number for number in self.unsettled if number - first & MASK <= span]
        for number in ids:
            delivery = self.unsettled.get(number)
            if delivery is None:
                continue
            if disposition.settled:
                del self.unsettled[number]
            if delivery.link.outlet:
                delivery.link.outlet.on_outcome(delivery, disposition.state, disposition.settled)

    # Attach and detach

    def _on_attach(self, attach: Attach) -> None:
        if attach.handle > HANDLE_MAX:
            raise AmqpSessionError(NOT_ALLOWED, f"handle {attach.handle}: the highest is {HANDLE_MAX}")
        if attach.handle in self.links:
            raise AmqpSessionError(HANDLE_IN_USE, f"handle {attach.handle} is attached already")
        link: Link = SendingLink(self, attach) if attach.role else ReceivingLink(self, attach)
        self.links[attach.handle] = link
        try:
            node = self._node_for(link)
        except Exception as error:  # noqa: BLE001 - a service that fails must not take the connection with it
            self._refuse(link, error)
            return
        if inspect.isawaitable(node):
            task = asyncio.ensure_future(self._attach_later(link, node))
            self._attaching[attach.handle] = task
        else:
            self._attached(link, node)

    def _node_for(self, link: Link) -> Inlet | Outlet | Awaitable[Inlet] | Awaitable[Outlet]:
        service = self.connection.service
        if isinstance(link, SendingLink):
            if link.source is None:
                raise AmqpError(INVALID_FIELD, "a link to receive from has to have a source")
            return service.attach_receiver(link)
        assert isinstance(link, ReceivingLink)
        if link.is_coordinator:
            raise AmqpError(NOT_IMPLEMENTED, "transactions are not supported")
        if link.target is None:
            raise AmqpError(INVALID_FIELD, "a link to send over has to have a target")
        return service.attach_sender(link)

    async def _attach_later(self, link: Link, node: Awaitable[Inlet] | Awaitable[Outlet]) -> None:
        try:
            self._attached(link, await node)
        except Exception as error:  # noqa: BLE001 - as in _on_attach
            self._refuse(link, error)
        finally:
            if self._attaching.get(link.handle) is asyncio.current_task():
                del self._attaching[link.handle]

    def _attached(self, link: Link, node: Inlet | Outlet) -> None:
        self.send(link.attached())
        link.live = True
        if isinstance(link, SendingLink):
            assert isinstance(node, Outlet)
            link.outlet = node
            node.on_attached()
            link.pump()
        elif isinstance(link, ReceivingLink):
            assert isinstance(node, Inlet)
            link.inlet = node
            link.replenish()
            node.on_attached()

    def _refuse(self, link: Link, error: Exception) -> None:
        """Refuse as in section 2.6.3: an attach without the terminus, and a detach with the reason."""
        if not isinstance(error, AmqpError):
            log.error("attaching %s failed", link.address, exc_info=error)
        answer = link.attached()
        answer.source = None if isinstance(link, SendingLink) else answer.source
        answer.target = None if isinstance(link, ReceivingLink) else answer.target
        self.send(answer)
        link.ended = True
        self.send(Detach(link.handle, closed=True, error=wire_error(error)))

    def _on_detach(self, detach: Detach) -> None:
        link = self._link(detach.handle)
        task = self._attaching.pop(detach.handle, None)
        if task:
            task.cancel()
            self.send(link.attached())
        del self.links[detach.handle]
        if not link.ended:
            link.end()
            self.send(Detach(detach.handle, closed=detach.closed))
