"""The engine with a service of the test's own, over a socket: credit, windows, outcomes, time-outs, hostility."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcloud.amqp.connection import Timing
from localcloud.amqp.errors import NOT_FOUND, AmqpError
from localcloud.amqp.frames import AMQP_HEADER, EMPTY_FRAME, SASL_HEADER, frame
from localcloud.amqp.link import Delivery, Outgoing, ReceivingLink, SendingLink
from localcloud.amqp.node import Inlet, Outlet, State
from localcloud.amqp.performatives import (
    Accepted,
    Attach,
    Begin,
    Close,
    Composite,
    Coordinator,
    Detach,
    Disposition,
    End,
    Flow,
    Modified,
    Open,
    Rejected,
    Source,
    Target,
    Transfer,
)
from localcloud.amqp.server import AmqpServer
from localcloud.amqp.types import Uint, Ushort
from localcloud.sas import Keys
from tests.support.amqp import RawClient
from tests.support.waiting import wait_for_async

T = TypeVar("T")
TAG = bytes(range(16))


class Queue(Inlet):
    """Takes everything; `settle` decides when and how."""

    def __init__(self, service: "Service") -> None:
        self._service = service

    def on_delivery(self, delivery: Delivery) -> None:
        self._service.deliveries.append(delivery)
        if self._service.settle_at_once:
            delivery.accept()

    def on_detached(self) -> None:
        self._service.detached += 1


class Shelf(Outlet):
    """Gives the service's messages, unsettled, and answers each outcome with the same."""

    def __init__(self, service: "Service", link: SendingLink) -> None:
        self._service = service
        self.link = link

    def on_credit(self) -> None:
        while self._service.messages and self.link.sendable:
            self.link.send(self._service.messages.pop(0), TAG, settled=self.link.settles_on_send)

    def on_outcome(self, delivery: Outgoing, state: State, settled: bool) -> None:
        self._service.outcomes.append((delivery.tag, state, settled))
        if not settled:
            delivery.settle(state)

    def on_detached(self) -> None:
        self._service.detached += 1


class Service:
    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.outcomes: list[tuple[bytes, State, bool]] = []
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
        return Queue(self)

    def attach_receiver(self, link: SendingLink) -> Outlet | Awaitable[Outlet]:
        if link.address == "nowhere":
            raise AmqpError(NOT_FOUND, "no such node")
        return self._later(link) if link.address == "later" else Shelf(self, link)

    async def _later(self, link: SendingLink) -> Outlet:
        await self.available.wait()
        return Shelf(self, link)


@asynccontextmanager
async def serving(service: Service, timing: Timing | None = None) -> AsyncIterator[AmqpServer]:
    async with AmqpServer("test", lambda: service, Keys(), lambda: 0.0, timing=timing or Timing()) as server:
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


# In


async def test_credit_is_granted_and_renewed() -> None:
    service = Service()

    def talk(client: RawClient) -> int:
        client.attach(sending())
        granted = client.expect(Flow).link_credit
        assert granted
        for number in range(granted):
            client.send(transfer(number), b"x")
        again = client.expect(Flow)
        assert again.delivery_count is not None
        assert again.link_credit is not None
        return again.delivery_count + again.link_credit - granted

    async with serving(service) as server:
        assert await run(server, talk) > 0


@pytest.mark.parametrize("size", [0, 1, 1000, 100 << 20], ids=["0", "1", "1000", "100 MB"])
async def test_a_message_comes_in_chunks(size: int) -> None:
    service = Service()
    payload = bytes(size)

    def talk(client: RawClient) -> Disposition:
        client.attach(sending())
        chunks = [payload[at : at + 1_000_000] for at in range(0, size, 1_000_000)] or [b""]
        for chunk in chunks[:-1]:
            client.send(transfer(7, more=True), chunk)
        client.send(transfer(7), chunks[-1])
        return client.expect(Disposition)

    async with serving(service) as server:
        disposition = await run(server, talk)
    assert disposition == Disposition(role=True, first=Uint(7), settled=True, state=Accepted())
    assert service.deliveries[0].payload == payload


async def test_an_aborted_message_is_forgotten() -> None:
    service = Service()

    def talk(client: RawClient) -> None:
        client.attach(sending())
        client.send(transfer(0, more=True), b"gone")
        client.send(transfer(0, aborted=True))
        client.send(transfer(1), b"kept")
        client.expect(Disposition)

    async with serving(service) as server:
        await run(server, talk)
    assert [delivery.payload for delivery in service.deliveries] == [b"kept"]


async def test_a_message_above_the_limit_is_rejected_without_keeping_its_bytes() -> None:
    service = Service()
    service.max_message_size = 1000

    def talk(client: RawClient) -> State:
        assert client.attach(sending()).max_message_size == 1000
        for _ in range(100):
            client.send(transfer(0, more=True), bytes(100_000))
        client.send(transfer(0), b"end")
        return client.expect(Disposition).state

    async with serving(service) as server:
        state = await run(server, talk)
    assert isinstance(state, Rejected)
    assert state.error
    assert state.error.condition == "amqp:link:message-size-exceeded"
    assert not service.deliveries


async def test_settled_transfers_get_no_answer() -> None:
    service = Service()

    def talk(client: RawClient) -> Uint:
        client.attach(sending())
        client.send(transfer(0, settled=True), b"a")
        client.send(transfer(1), b"b")
        return client.expect(Disposition).first

    async with serving(service) as server:
        assert await run(server, talk) == 1


async def test_reading_stops_while_too_much_is_unsettled_and_goes_on_after() -> None:
    service = Service()
    service.settle_at_once = False
    size = 1_000_000

    def fill(client: RawClient) -> int:
        client.attach(sending())
        client.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < 400:
                client.send(transfer(sent), bytes(size))
                sent += 1
        except TimeoutError:
            pass
        return sent

    async with serving(service) as server:
        sent = await run(server, fill)
        assert 64 <= sent < 400
        assert len(service.deliveries) <= 70
        for delivery in service.deliveries:
            delivery.accept()


# Out


async def test_messages_go_out_as_far_as_credit_goes() -> None:
    service = Service()
    service.messages = [b"a", b"b", b"c"]

    def talk(client: RawClient) -> list[bytes]:
        client.attach(receiving())
        client.flow(1, 2, delivery_count=Uint(0))
        got = [client.read(), client.read()]
        client.flow(1, 0, delivery_count=Uint(2), echo=True)
        answer = client.expect(Flow)
        assert (answer.delivery_count, answer.link_credit) == (2, 0)
        return [item[1] for item in got if item]

    async with serving(service) as server:
        assert await run(server, talk) == [b"a", b"b"]
    assert service.messages == [b"c"]


async def test_credit_that_was_taken_back_too_late_is_not_negative() -> None:
    service = Service()
    service.messages = [b"a", b"b", b"c"]

    def talk(client: RawClient) -> None:
        client.attach(receiving())
        client.flow(1, 2, delivery_count=Uint(0))
        client.expect(Transfer)
        client.expect(Transfer)
        client.flow(1, 1, delivery_count=Uint(0), echo=True)
        assert client.expect(Flow).link_credit == 0
        client.flow(1, 1, delivery_count=Uint(2))
        client.expect(Transfer)

    async with serving(service) as server:
        await run(server, talk)


async def test_drain_uses_up_the_credit() -> None:
    service = Service()
    service.messages = [b"a"]

    def talk(client: RawClient) -> Flow:
        client.attach(receiving())
        client.flow(1, 10, delivery_count=Uint(0), drain=True)
        client.expect(Transfer)
        return client.expect(Flow)

    async with serving(service) as server:
        flow = await run(server, talk)
    assert (flow.delivery_count, flow.link_credit, flow.drain) == (10, 0, True)


async def test_a_big_message_fits_the_clients_frames_and_window() -> None:
    service = Service()
    payload = bytes(range(256)) * 40
    service.messages = [payload, b"next"]

    def talk(client: RawClient) -> tuple[bytes, bytes]:
        client.open(max_frame_size=Uint(512))
        client.begin(incoming_window=3)
        client.attach(receiving())
        client.flow(1, 10, delivery_count=Uint(0), incoming_window=Uint(3))
        got, frames = b"", 0
        whole: list[bytes] = []
        while len(whole) < 2:
            item = client.read()
            assert item
            assert isinstance(item[0], Transfer)
            got, frames = got + item[1], frames + 1
            if not item[0].more:
                whole.append(got)
                got = b""
            if frames % 3 == 0:
                client.flow(next_incoming_id=Uint(frames), incoming_window=Uint(3))
        return whole[0], whole[1]

    async with serving(service) as server:
        assert await run(server, talk, opened=False) == (payload, b"next")


@pytest.mark.parametrize("settled", [False, True])
async def test_outcomes_reach_the_service_and_are_confirmed(settled: bool) -> None:
    service = Service()
    service.messages = [b"a", b"b", b"c"]
    modified = Modified(delivery_failed=True)

    def talk(client: RawClient) -> list[int]:
        client.attach(receiving())
        client.flow(1, 3, delivery_count=Uint(0))
        transfers = [client.expect(Transfer) for _ in range(3)]
        assert {(item.delivery_tag, item.settled) for item in transfers} == {(TAG, False)}
        first, last = transfers[0].delivery_id, transfers[-1].delivery_id
        assert first is not None
        client.send(Disposition(role=True, first=first, last=last, settled=settled, state=modified))
        if settled:
            client.flow(1, 0, delivery_count=Uint(3), echo=True)
            client.expect(Flow)
            return []
        answers = [client.expect(Disposition) for _ in range(3)]
        assert all(answer.settled and not answer.role and answer.state == modified for answer in answers)
        return [answer.first for answer in answers]

    async with serving(service) as server:
        assert await run(server, talk) == ([] if settled else [0, 1, 2])
    assert service.outcomes == [(TAG, modified, settled)] * 3


async def test_a_disposition_for_all_there_could_be_takes_no_time() -> None:
    service = Service()

    def talk(client: RawClient) -> None:
        client.attach(receiving())
        client.send(Disposition(role=True, first=Uint(0), last=Uint(2**32 - 1), settled=True, state=Accepted()))
        client.flow(echo=True)
        client.expect(Flow)

    async with serving(service) as server:
        await asyncio.wait_for(run(server, talk), 5)


# Links


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
        attach.target = Coordinator()
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


# Hostility and time


def said(client: RawClient) -> str:
    """The condition with which the server ends the connection or the session."""
    for performative in client.read_to_end():
        if isinstance(performative, Close | End) and performative.error:
            return performative.error.condition
    return "nothing"


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"\x00\x00\x00\x03\x02\x00\x00\x00", "amqp:connection:framing-error"),
        (b"\xff\xff\xff\xff\x02\x00\x00\x00", "amqp:connection:framing-error"),
        (b"\x00\x00\x00\x08\x02\x01\x00\x00", "amqp:connection:framing-error"),
        (frame(0, b"\x00\x53\x10"), "amqp:decode-error"),
        (frame(0, b"\x00" * 5000), "amqp:decode-error"),
        (frame(0, b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff"), "amqp:decode-error"),
        (frame(9, Flow(incoming_window=Uint(0), next_outgoing_id=Uint(0), outgoing_window=Uint(0)).encoded()),
         "amqp:not-allowed"),
        (frame(0, Begin(next_outgoing_id=Uint(0), incoming_window=Uint(0), outgoing_window=Uint(0)).encoded()),
         "amqp:not-allowed"),
        (frame(5000, Begin(next_outgoing_id=Uint(0), incoming_window=Uint(0), outgoing_window=Uint(0)).encoded()),
         "amqp:connection:framing-error"),
        (frame(1, Begin(remote_channel=Ushort(0), next_outgoing_id=Uint(0), incoming_window=Uint(0),
                        outgoing_window=Uint(0)).encoded()), "amqp:not-allowed"),
    ],
)  # fmt: skip
async def test_what_breaks_the_connection_is_told_and_ends_it(data: bytes, condition: str) -> None:
    def talk(client: RawClient) -> str:
        client.send_bytes(data)
        return said(client)

    async with serving(Service()) as server:
        assert await run(server, talk) == condition


@pytest.mark.parametrize(
    ("performatives", "condition"),
    [
        ([transfer(0)], "amqp:session:unattached-handle"),
        ([Detach(Uint(3))], "amqp:session:unattached-handle"),
        ([sending(), sending()], "amqp:session:handle-in-use"),
        ([sending(256)], "amqp:not-allowed"),
        ([receiving(0), transfer(0)], "amqp:not-allowed"),
        ([sending(), transfer(0, more=True), transfer(1)], "amqp:session:errant-link"),
        ([sending(), Transfer(Uint(0))], "amqp:decode-error"),
        ([Open("again")], "amqp:not-allowed"),
    ],
)
async def test_what_breaks_a_session_ends_that_session_alone(performatives: list[Composite], condition: str) -> None:
    def talk(client: RawClient) -> str:
        client.begin(channel=3)
        for performative in performatives:
            client.send(performative)
        end = client.expect(End)
        client.flow(echo=False)  # what is still on its way to the ended session does no harm
        client.send(Flow(incoming_window=Uint(0), next_outgoing_id=Uint(0), outgoing_window=Uint(0), echo=True),
                    channel=3)  # fmt: skip
        client.expect(Flow)
        client.send(End())
        client.begin()
        assert end.error
        return end.error.condition

    async with serving(Service()) as server:
        assert await run(server, talk) == condition


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"AMQP\x02\x01\x00\x00", b"AMQP\x00\x00\x09\x01"])
async def test_another_protocol_is_answered_with_ours(data: bytes) -> None:
    def talk(client: RawClient) -> bytes:
        client.send_bytes(data)
        header = client.header()
        assert client.read_to_end() == []
        return header

    async with serving(Service()) as server:
        assert await run(server, talk, opened=False) == SASL_HEADER


async def test_sasl_may_be_left_out() -> None:
    def talk(client: RawClient) -> Open:
        client.send_bytes(AMQP_HEADER)
        client.send(Open("raw"))
        assert client.header() == AMQP_HEADER
        return client.expect(Open)

    async with serving(Service()) as server:
        assert (await run(server, talk, opened=False)).container_id == "test"


@pytest.mark.parametrize(
    ("fields", "condition"),
    [
        ({"max_frame_size": Uint(511)}, "amqp:not-allowed"),
        ({"idle_time_out": Uint(1)}, "amqp:resource-limit-exceeded"),
    ],
)
async def test_an_open_that_we_can_not_honour_is_refused(fields: dict[str, Any], condition: str) -> None:
    def talk(client: RawClient) -> str:
        client.open(**fields)
        return said(client)

    async with serving(Service()) as server:
        assert await run(server, talk, opened=False) == condition


async def test_a_client_with_an_idle_time_out_hears_from_us() -> None:
    def talk(client: RawClient) -> bytes:
        opened = client.open(idle_time_out=Uint(200))
        assert opened.idle_time_out == 240_000
        return client.socket.recv(100)

    async with serving(Service()) as server:
        assert (await run(server, talk, opened=False)).startswith(EMPTY_FRAME)


async def test_a_client_that_is_silent_for_too_long_is_let_go() -> None:
    def talk(client: RawClient) -> str:
        return said(client)

    async with serving(Service(), Timing(keep_alive=0.05, silence=0.2)) as server:
        assert await run(server, talk) == "amqp:resource-limit-exceeded"


async def test_a_link_ends_when_its_rights_do() -> None:
    loop = asyncio.get_running_loop()

    def talk(client: RawClient) -> Detach:
        client.attach(sending(1, "open to all"))
        client.attach(sending(2, "guarded"))
        [connection] = server.connections
        loop.call_soon_threadsafe(connection.grants.clear)
        detach = client.expect(Detach)
        client.send(Transfer(Uint(1), delivery_id=Uint(0), delivery_tag=b"t"), b"x")
        client.expect(Disposition)  # the other link is as it was
        return detach

    async with serving(Service(), Timing(keep_alive=0.05)) as server:
        detach = await run(server, talk)
    assert detach.handle == 2
    assert detach.error
    assert detach.error.condition == "amqp:unauthorized-access"


@pytest.mark.parametrize("first", [b"", b"AMQ", SASL_HEADER])
async def test_a_client_that_does_not_open_is_let_go(first: bytes) -> None:
    def talk(client: RawClient) -> None:
        client.send_bytes(first)
        while client._fill():
            pass

    async with serving(Service(), Timing(handshake=0.2)) as server:
        await run(server, talk, opened=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bytes_bring_the_server_down(data: st.DataObject) -> None:
    """Frames of the protocol with bytes changed, left out and put in: the next client finds the server well."""
    good = b"".join(
        frame(0, item.encoded() + b"payload")
        for item in (sending(), receiving(), transfer(0), Flow(
            incoming_window=Uint(5), next_outgoing_id=Uint(0), outgoing_window=Uint(5), handle=Uint(1),
            delivery_count=Uint(0), link_credit=Uint(5)), Detach(Uint(0), closed=True), End())
    )  # fmt: skip
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))

    def hostile(client: RawClient) -> None:
        client.send_bytes(bytes(damaged))
        client.send(Close())
        client.socket.shutdown(1)
        while client._fill():
            pass

    async def both() -> None:
        service = Service()
        service.messages = [b"a"] * 9
        async with serving(service, Timing(linger=0.1)) as server:
            await run(server, hostile)
            await run(server, lambda client: client.attach(sending()))

    asyncio.run(asyncio.wait_for(both(), 20))
