"""The engine against hostile clients, and against time."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcloud.amqp.config import AmqpConfig
from localcloud.amqp.frames import AMQP_HEADER, EMPTY_FRAME, SASL_FRAME, SASL_HEADER, frame
from localcloud.amqp.performatives import (
    Begin,
    Close,
    Composite,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    SaslInit,
    Transfer,
)
from localcloud.amqp.types import Symbol, Uint, Ushort
from localcloud_tests.support.amqp import RawClient
from localcloud_tests.support.fuzzing import effort
from localcloud_tests.unit.amqp.service import Service, receiving, run, sending, serving, transfer


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


async def test_an_outcome_that_is_known_after_the_connection_has_ended_is_told_to_nobody() -> None:
    service = Service()
    service.settle_at_once = False
    loop = asyncio.get_running_loop()
    unexpected: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unexpected.append(context))

    async def accept() -> None:
        service.deliveries[0].accept()
        for _ in range(3):  # what is sent is written in the next turn
            await asyncio.sleep(0)

    def talk(client: RawClient) -> str:
        client.attach(sending())
        client.send(transfer(0), b"\x00\x53\x75\xa0\x01a")
        client.send_bytes(frame(0, b"\x00\x53\x10"))
        condition = said(client)
        asyncio.run_coroutine_threadsafe(accept(), loop).result(10)
        return condition

    async with serving(service) as server:
        assert await run(server, talk) == "amqp:decode-error"
    assert (len(service.deliveries), unexpected) == (1, [])


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


@pytest.mark.parametrize("data", [b"HELO me\r\n", b"AMQP\x02\x01\x00\x00", b"AMQP\x00\x00\x09\x01"])
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

    async with serving(Service(), AmqpConfig(keep_alive_s=0.05, silence_s=0.2)) as server:
        assert await run(server, talk) == "amqp:connection:forced"


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

    async with serving(Service(), AmqpConfig(keep_alive_s=0.05)) as server:
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

    async with serving(Service(), AmqpConfig(handshake_s=0.2)) as server:
        await run(server, talk, opened=False)


SIGNED_IN = SASL_HEADER + frame(0, SaslInit(Symbol("ANONYMOUS")).encoded(), SASL_FRAME)


@pytest.mark.parametrize("first", [SASL_HEADER, SIGNED_IN, SIGNED_IN + AMQP_HEADER, AMQP_HEADER])
async def test_a_client_that_gives_up_before_it_opens_is_no_fault(
    first: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    def talk(client: RawClient) -> None:
        client.send_bytes(first)
        client.send(Close())
        while client._fill():
            pass

    async with serving(Service()) as server:
        await run(server, talk, opened=False)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            SASL_HEADER + frame(0, Open("raw").encoded()),
            "amqp:open:list came in a frame of type 0 where sasl-init was expected",
        ),
        (AMQP_HEADER + frame(0, End().encoded()), "amqp:end:list before open"),
        (AMQP_HEADER + frame(0, b"\x00\x53\x10"), "amqp:decode-error"),
    ],
)
async def test_the_log_says_which_client_broke_the_protocol_and_how(
    data: bytes, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    def talk(client: RawClient) -> str:
        client.send_bytes(data)
        while client._fill():
            pass
        return "{}:{}".format(*client.socket.getsockname())

    async with serving(Service()) as server:
        address = await run(server, talk, opened=False)
    [message] = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert message.startswith(f"test: {address}: closing ''")
    assert expected in message


@settings(effort(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
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
        async with serving(service, AmqpConfig(linger_s=0.1)) as server:
            await run(server, hostile)
            await run(server, lambda client: client.attach(sending()))

    asyncio.run(asyncio.wait_for(both(), 60))
