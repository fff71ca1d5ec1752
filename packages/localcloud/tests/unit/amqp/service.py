"""A service of the tests' own behind the engine, and a client that speaks to it over a socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from localcloud.amqp.config import AmqpConfig
from localcloud.amqp.errors import NOT_FOUND, AmqpError
from localcloud.amqp.performatives import (
    Attach,
    DeliveryState,
    Source,
    Target,
    Transfer,
)
from localcloud.amqp.receiving_link import Delivery, Inlet, ReceivingLink
from localcloud.amqp.sending_link import OutgoingDelivery, Outlet, SendingLink
from localcloud.amqp.server import AmqpServer
from localcloud.amqp.types import Uint
from localcloud.sas import Keys
from localcloud_tests.support.amqp import RawClient

T = TypeVar("T")
TAG = bytes(range(16))


class ListInlet(Inlet):
    """Takes everything; `settle` decides when and how."""

    def __init__(self, service: "Service") -> None:
        self._service = service

    def on_delivery(self, delivery: Delivery) -> None:
        self._service.deliveries.append(delivery)
        if self._service.settle_at_once:
            delivery.accept()

    def on_detached(self) -> None:
        self._service.detached += 1


class ListOutlet(Outlet):
    """Gives the service's messages, unsettled, and answers each outcome with the same."""

    def __init__(self, service: "Service", link: SendingLink) -> None:
        self._service = service
        self.link = link

    def on_credit(self) -> None:
        while self._service.messages and self.link.sendable:
            self.link.send(self._service.messages.pop(0), TAG, settled=self.link.settles_on_send)

    def on_outcome(self, delivery: OutgoingDelivery, state: DeliveryState, settled: bool) -> None:
        self._service.outcomes.append((delivery.tag, state, settled))
        if not settled:
            delivery.settle(state)

    def on_detached(self) -> None:
        self._service.detached += 1


class Service:
    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.outcomes: list[tuple[bytes, DeliveryState, bool]] = []
        self.messages: list[bytes] = []
        self.detached = 0
        self.settle_at_once = True
        self.available = asyncio.Event()
        self.max_message_size = 1 << 27

    def attach_sender(self, link: ReceivingLink) -> Inlet:
        if link.address == "broken":
            raise RuntimeError("a bug")
        if link.address == "guarded":
            link.authorize(link.address)
        link.max_message_size = self.max_message_size
        return ListInlet(self)

    def attach_receiver(self, link: SendingLink) -> Outlet | Awaitable[Outlet]:
        if link.address == "nowhere":
            raise AmqpError(NOT_FOUND, "no such node")
        return self._later(link) if link.address == "later" else ListOutlet(self, link)

    async def _later(self, link: SendingLink) -> Outlet:
        await self.available.wait()
        return ListOutlet(self, link)


@asynccontextmanager
async def serving(service: Service, config: AmqpConfig | None = None) -> AsyncIterator[AmqpServer]:
    async with AmqpServer("test", lambda: service, Keys(), lambda: 0.0, config=config or AmqpConfig()) as server:
        yield server


async def run(server: AmqpServer, talk: Callable[[RawClient], T], *, opened: bool = True) -> T:
    """Run `talk` in a thread, with a client that has opened a connection and begun a session."""

    def talking() -> T:
        with RawClient(server.port) as client:
            if opened:
                client.open()
                client.begin()
            return talk(client)

    return await asyncio.to_thread(talking)


def sending(handle: int = 0, address: str = "node") -> Attach:
    return Attach(
        f"s{handle}",
        Uint(handle),
        role=False,
        source=Source(),
        target=Target(address),
        initial_delivery_count=Uint(0),
    )


def receiving(handle: int = 1, address: str = "node") -> Attach:
    return Attach(f"r{handle}", Uint(handle), role=True, source=Source(address), target=Target())


def transfer(number: int, *, more: bool = False, **fields: Any) -> Transfer:
    return Transfer(Uint(0), delivery_id=Uint(number), delivery_tag=b"t", message_format=Uint(0), more=more, **fields)
