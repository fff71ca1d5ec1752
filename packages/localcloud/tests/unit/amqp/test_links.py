"""Links that come and go."""

import asyncio

import pytest

from localcloud.amqp.performatives import (
    Attach,
    Detach,
    End,
    TransactionCoordinator,
)
from localcloud.amqp.server import AmqpServer
from localcloud.amqp.types import Uint
from localcloud.testing.waiting import wait_for_async
from localcloud_tests.support.amqp import RawClient
from localcloud_tests.unit.amqp.service import Service, receiving, run, sending, serving


async def test_a_refused_link_has_no_terminus_and_ends_with_the_reason() -> None:
    def talk(client: RawClient) -> Detach:
        assert client.attach(receiving(address="nowhere")).source is None
        detach = client.expect(Detach)
        client.send(Detach(Uint(1), closed=True))
        client.attach(receiving())  # the handle is free again
        return detach

    async with serving(Service()) as server:
        detach = await run(server, talk)
    assert detach.closed
    assert detach.error
    assert (detach.error.condition, detach.error.description) == ("amqp:not-found", "no such node")


async def test_a_fault_of_the_service_is_an_internal_error_and_no_more_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def talk(client: RawClient) -> Detach:
        client.attach(sending(address="broken"))
        return client.expect(Detach)

    async with serving(Service()) as server:
        detach = await run(server, talk)
    assert detach.error
    assert detach.error.condition == "amqp:internal-error"
    assert "a bug" not in str(detach.error.description)
    assert "a bug" in caplog.text


async def test_transactions_are_not_implemented() -> None:
    def talk(client: RawClient) -> Detach:
        attach = sending()
        attach.target = TransactionCoordinator()
        client.attach(attach)
        return client.expect(Detach)

    async with serving(Service()) as server:
        error = (await run(server, talk)).error
    assert error
    assert error.condition == "amqp:not-implemented"


async def test_an_attach_can_be_held_back_and_given_up() -> None:
    service = Service()
    loop = asyncio.get_running_loop()
    service.messages = [b"a"]

    def talk(client: RawClient) -> bytes:
        client.send(receiving(1, "later"))
        client.flow(1, 1, delivery_count=Uint(0))
        client.attach(receiving(2))  # answered before the other
        client.send(receiving(3, "later"))
        client.send(Detach(Uint(3), closed=True))
        client.expect(Detach)
        loop.call_soon_threadsafe(service.available.set)
        assert client.expect(Attach).name == "r1"
        got = client.read()
        assert got
        return got[1]

    async with serving(service) as server:
        assert await run(server, talk) == b"a"


async def test_services_hear_that_links_end_however_they_end() -> None:
    service = Service()

    def talk(client: RawClient) -> None:
        client.attach(sending(0))
        client.attach(receiving(1))
        client.attach(receiving(2))
        client.begin(channel=5)
        client.send(sending(0), channel=5)
        client.expect(Attach)
        client.send(Detach(Uint(1)))
        client.expect(Detach)
        client.send(End(), channel=5)
        client.expect(End)

    async with serving(service) as server:
        await run(server, talk)
        await wait_for_async(lambda: _none(server), "the connection to end")
    assert service.detached == 4


async def _none(server: AmqpServer) -> bool:
    return not server.connections
