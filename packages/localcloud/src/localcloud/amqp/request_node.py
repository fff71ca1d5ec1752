"""Request and response over a pair of links, as `$cbs` and `$management` use it (AMQP Management 1.0, section 3).

The request is a message to the node; the response goes over a link from the same node, on any session of the
connection: the one whose target address, source address or name is the request's reply-to, else the one that was
attached last. (Clients in JavaScript give their links no target address, and reply-to is the link's name.)
"""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from localcloud.amqp.codec import DecodeError
from localcloud.amqp.errors import DECODE_ERROR, AmqpError
from localcloud.amqp.message import Message
from localcloud.amqp.performatives import Properties, Target
from localcloud.amqp.receiving_link import Delivery, Inlet, ReceivingLink
from localcloud.amqp.sending_link import Outlet, SendingLink

log = logging.getLogger(__name__)

# From the request and the link it came over to the response, whose correlation-id is filled in for it.
Handler = Callable[[Message, ReceivingLink], Message | Awaitable[Message]]


class ReplyOutlet(Outlet):
    """Responses of one node, waiting for credit."""

    def __init__(self, link: SendingLink, among: dict["ReplyOutlet", None]) -> None:
        self.link = link
        self._among = among
        self._waiting: deque[bytes] = deque()
        self._number = 0
        among[self] = None

    def answers_to(self, reply_to: str | None) -> bool:
        source, target = self.link.source, self.link.target
        addresses = {
            self.link.name,
            source.address if source else None,
            target.address if isinstance(target, Target) else None,
        }
        return reply_to is not None and reply_to in addresses

    def enqueue(self, message: Message) -> None:
        self._waiting.append(message.encode())
        self.on_credit()

    def on_credit(self) -> None:
        while self._waiting and self.link.sendable:
            self._number += 1
            self.link.send(self._waiting.popleft(), self._number.to_bytes(4), settled=True)

    def on_detached(self) -> None:
        self._among.pop(self, None)


class RequestNode:
    """A node that answers requests. One for each connection and node address."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._replies: dict[ReplyOutlet, None] = {}

    def inlet(self, link: ReceivingLink) -> Inlet:
        return _RequestInlet(self._handler, self._replies, link)

    def outlet(self, link: SendingLink) -> Outlet:
        if link.source and link.source.dynamic:
            link.source = replace(link.source, address=f"reply-{link.name}", dynamic=False)
        return ReplyOutlet(link, self._replies)


class _RequestInlet(Inlet):
    def __init__(self, handler: Handler, replies: dict[ReplyOutlet, None], link: ReceivingLink) -> None:
        self._handler = handler
        self._replies = replies
        self._link = link
        self._tasks: set[asyncio.Task[None]] = set()

    def on_delivery(self, delivery: Delivery) -> None:
        try:
            request = Message.decode(delivery.payload)
        except DecodeError as error:
            delivery.reject(AmqpError(DECODE_ERROR, str(error)))
            return
        delivery.accept()
        response = self._handler(request, self._link)
        if inspect.isawaitable(response):
            task = asyncio.ensure_future(self._answer_later(request, response))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._answer(request, response)

    async def _answer_later(self, request: Message, response: Awaitable[Message]) -> None:
        self._answer(request, await response)

    def _answer(self, request: Message, response: Message) -> None:
        reply_to = request.properties.reply_to
        links = list(self._replies)
        for_it = [link for link in links if link.answers_to(reply_to)] or links
        if not for_it:
            log.warning("a request over %s has no link for its response", self._link.address)
            return
        response.properties = Properties(correlation_id=request.properties.message_id)
        here = [link for link in for_it if link.link.session is self._link.session] or for_it
        here[-1].enqueue(response)

    def on_detached(self) -> None:
        for task in self._tasks:
            task.cancel()
