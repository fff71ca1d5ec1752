"""Links that fail on demand: a service whose links ask for a fault before each message."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from localcloud.amqp.errors import AmqpError
from localcloud.amqp.node import AmqpService, RefusedOutlet
from localcloud.amqp.performatives import DeliveryState
from localcloud.amqp.receiving_link import Delivery, Inlet, ReceivingLink
from localcloud.amqp.sending_link import Outlet, SendingLink
from localcloud.amqp.types import Symbol
from localcloud.faults import BusyFault, DelayFault, DetachFault, DropFault, DuplicateFault, FaultRule, LoseFault

# From an operation (attach, send, receive, request) and the address of a link to the rule that strikes.
Strike = Callable[[str, str], FaultRule | None]


class FaultyService:
    """A service whose nodes fail as `strike` decides."""

    def __init__(self, service: AmqpService, strike: Strike) -> None:
        self._service = service
        self._strike = strike

    def attach_sender(self, link: ReceivingLink) -> Inlet | Awaitable[Inlet]:
        match self._strike("attach", link.address):
            case BusyFault(condition=condition):
                raise _error(condition)
            case DropFault():
                link.session.connection.abort()
            case DelayFault(ms=ms):
                return self._sender_later(link, ms)
        return self._sender(link)

    def attach_receiver(self, link: SendingLink) -> Outlet | Awaitable[Outlet]:
        link.strike = _ReceiveFaults(link, self._strike)
        match self._strike("attach", link.address):
            case BusyFault(condition=condition):
                return RefusedOutlet(link, _error(condition))
            case DropFault():
                link.session.connection.abort()
            case DelayFault(ms=ms):
                return self._receiver_later(link, ms)
        return self._service.attach_receiver(link)

    def _sender(self, link: ReceivingLink) -> Inlet | Awaitable[Inlet]:
        inlet = self._service.attach_sender(link)
        return _FaultyInlet(inlet, link, self._strike) if isinstance(inlet, Inlet) else self._wrapped(inlet, link)

    async def _wrapped(self, inlet: Awaitable[Inlet], link: ReceivingLink) -> Inlet:
        return _FaultyInlet(await inlet, link, self._strike)

    async def _sender_later(self, link: ReceivingLink, ms: int) -> Inlet:
        await asyncio.sleep(ms / 1000)
        inlet = self._sender(link)
        return inlet if isinstance(inlet, Inlet) else await inlet

    async def _receiver_later(self, link: SendingLink, ms: int) -> Outlet:
        await asyncio.sleep(ms / 1000)
        outlet = self._service.attach_receiver(link)
        return outlet if isinstance(outlet, Outlet) else await outlet


class _FaultyInlet(Inlet):
    """Passes on to another inlet what no fault strikes."""

    def __init__(self, inlet: Inlet, link: ReceivingLink, strike: Strike) -> None:
        self._inlet = inlet
        self._link = link
        self._strike = strike
        self._operation = "request" if link.address.endswith("$management") else "send"
        self._waiting: deque[Delivery] = deque()

    def on_attached(self) -> None:
        self._inlet.on_attached()

    def on_delivery(self, delivery: Delivery) -> None:
        if self._waiting:
            self._waiting.append(delivery)
            return
        match self._strike(self._operation, self._link.address):
            case BusyFault(condition=condition):
                delivery.reject(_error(condition))
            case DetachFault(condition=condition):
                self._link.detach(_error(condition))
            case DropFault():
                self._link.session.connection.abort()
            case DelayFault(ms=ms):
                self._waiting.append(delivery)
                asyncio.get_running_loop().call_later(ms / 1000, self._resume)
            case LoseFault():
                self._inlet.on_delivery(_UnansweredDelivery(delivery))
            case DuplicateFault():
                self._inlet.on_delivery(delivery)
                self._inlet.on_delivery(delivery)
            case _:
                self._inlet.on_delivery(delivery)

    def _resume(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        if self._link.ended:
            return
        self._inlet.on_delivery(waiting.popleft())
        for delivery in waiting:
            self.on_delivery(delivery)

    def on_detached(self) -> None:
        self._inlet.on_detached()


class _UnansweredDelivery(Delivery):
    """A delivery that cuts the connection instead of sending its outcome."""

    __slots__ = ()

    def __init__(self, delivery: Delivery) -> None:
        for name in Delivery.__slots__:
            setattr(self, name, getattr(delivery, name))

    def settle(self, state: DeliveryState) -> None:
        self.link.session.connection.abort()


class _ReceiveFaults:
    """Decides before each message that a link sends whether a fault strikes it."""

    def __init__(self, link: SendingLink, strike: Strike) -> None:
        self._link = link
        self._strike = strike
        self._waited = False

    def __call__(self) -> FaultRule | None:
        if self._waited:
            self._waited = False
            return None
        rule = self._strike("receive", self._link.address)
        match rule:
            case DetachFault(condition=condition):
                self._link.detach(_error(condition))
            case DropFault():
                self._link.session.connection.abort()
            case DelayFault(ms=ms):
                self._waited = True
                self._link.pause(ms / 1000)
        return rule


def _error(condition: str) -> AmqpError:
    return AmqpError(Symbol(condition), "A fault that was asked for.")
