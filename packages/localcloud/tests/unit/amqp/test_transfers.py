"""Messages over links: credit, windows, chunks and outcomes."""

import asyncio

import pytest

from localcloud.amqp.performatives import (
    Accepted,
    DeliveryState,
    Disposition,
    Flow,
    Modified,
    Rejected,
    Transfer,
)
from localcloud.amqp.types import Uint
from localcloud_tests.support.amqp import RawClient
from localcloud_tests.unit.amqp.service import TAG, Service, receiving, run, sending, serving, transfer

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

    def talk(client: RawClient) -> DeliveryState:
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
        client.socket.settimeout(4)  # so long nobody reads: a server that is only busy does
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
        await asyncio.wait_for(run(server, talk), 60)
