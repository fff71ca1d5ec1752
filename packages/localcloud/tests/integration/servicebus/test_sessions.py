"""Sessions, through Azure's client for asyncio."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from localcloud.testing.waiting import wait_for_async

WAIT = 60


async def send(bus: ServiceBusClient, queue: str, session_id: str, *bodies: str) -> None:
    async with bus.get_queue_sender(queue) as sender:
        await sender.send_messages([ServiceBusMessage(body, session_id=session_id) for body in bodies])


async def test_a_session_is_received_in_order_and_apart_from_others(bus: ServiceBusClient) -> None:
    await send(bus, "sessions", "a", "a1", "a2")
    await send(bus, "sessions", "b", "b1")
    async with bus.get_queue_receiver("sessions", session_id="a") as receiver:
        assert receiver.session.session_id == "a"
        got = [await receiver.receive_messages(1, max_wait_time=WAIT) for _ in range(2)]
        assert [str(message) for (message,) in got] == ["a1", "a2"]
        for (message,) in got:
            assert message.session_id == "a"
            await receiver.complete_message(message)
        with pytest.raises(SessionCannotBeLockedError):
            async with bus.get_queue_receiver("sessions", session_id="a"):
                pass
    async with bus.get_queue_receiver("sessions", session_id="b") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        await receiver.complete_message(message)


async def test_the_empty_text_is_a_session(bus: ServiceBusClient) -> None:
    await send(bus, "sessions", "", "nameless")
    async with bus.get_queue_receiver("sessions", session_id="") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert (str(message), message.session_id) == ("nameless", "")
        await receiver.complete_message(message)


async def test_state_and_renewal(bus: ServiceBusClient) -> None:
    async with bus.get_queue_receiver("sessions", session_id="stateful") as receiver:
        assert await receiver.session.get_state() is None
        await receiver.session.set_state(b"half way")
        before = receiver.session.locked_until_utc
        assert before is not None
        assert await receiver.session.renew_lock() > before
    async with bus.get_queue_receiver("sessions", session_id="stateful") as receiver:
        assert await receiver.session.get_state() == b"half way"
        await receiver.session.set_state(None)


async def test_sessions_are_listed_by_what_they_hold_or_by_when_their_state_was_set(bus: ServiceBusClient) -> None:
    async def listed(after: timedelta | None = None) -> set[str]:
        since = None if after is None else datetime.now(UTC) + after
        names = bus.list_queue_sessions("sessions", state_updated_after=since)
        return {name async for name in names} & {"listed-message", "listed-state", "listed-nothing"}

    await send(bus, "sessions", "listed-message", "x")
    for name in ("listed-state", "listed-nothing"):
        async with bus.get_queue_receiver("sessions", session_id=name) as receiver:
            await receiver.session.set_state(b"s" if name == "listed-state" else None)
    assert await listed() == {"listed-message", "listed-state"}
    assert await listed(timedelta(hours=-1)) == {"listed-state"}
    assert await listed(timedelta(hours=1)) == set()
    async with bus.get_queue_receiver("sessions", session_id="listed-message") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        await receiver.complete_message(message)


async def test_the_next_session_is_waited_for(bus: ServiceBusClient) -> None:
    async def accept() -> str:
        async with bus.get_queue_receiver(
            "sessions", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=WAIT
        ) as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
            await receiver.complete_message(message)
            return receiver.session.session_id

    accepting = asyncio.create_task(accept())
    await send(bus, "sessions", "late", "x")
    assert await accepting == "late"


async def test_no_session_in_time(bus: ServiceBusClient) -> None:
    with pytest.raises(OperationTimeoutError):
        async with bus.get_queue_receiver("more-sessions", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1):
            pass


async def test_what_is_not_settled_goes_back_with_the_session_and_counts_not(bus: ServiceBusClient) -> None:
    await send(bus, "sessions", "back", "x")
    for _ in range(2):
        async with bus.get_queue_receiver("sessions", session_id="back") as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
            assert message.delivery_count == 0
    async with bus.get_queue_receiver(
        "sessions", session_id="back", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
    ) as receiver:
        assert [str(m) for m in await receiver.receive_messages(5, max_wait_time=WAIT)] == ["x"]


async def test_a_session_lock_that_ends_by_time(bus: ServiceBusClient) -> None:
    await send(bus, "more-sessions", "slow", "x")
    async with bus.get_queue_receiver("more-sessions", session_id="slow") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)

        async def free() -> bool:
            try:
                async with bus.get_queue_receiver("more-sessions", session_id="slow") as other:
                    (again,) = await other.receive_messages(1, max_wait_time=WAIT)
                    assert again.delivery_count == 1
                    await other.complete_message(again)
                    return True
            except SessionCannotBeLockedError:
                return False

        await wait_for_async(free, "the session's lock to end")
        with pytest.raises((SessionLockLostError, ServiceBusError)):
            await receiver.complete_message(message)


async def test_sessions_and_queues_without_do_not_mix(bus: ServiceBusClient, queue: str) -> None:
    with pytest.raises(ServiceBusError, match="requires sessions"):
        async with bus.get_queue_receiver("sessions"):
            pass
    with pytest.raises(ServiceBusError, match="has no sessions"):
        async with bus.get_queue_receiver(queue, session_id="a"):
            pass
    async with bus.get_queue_sender("sessions") as sender:
        with pytest.raises(ServiceBusError, match="requires sessions"):
            await sender.send_messages(ServiceBusMessage("without"))


async def test_deferred_in_a_session(bus: ServiceBusClient) -> None:
    await send(bus, "sessions", "deferring", "x")
    async with bus.get_queue_receiver("sessions", session_id="deferring") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        await receiver.defer_message(message)
        assert message.sequence_number is not None
        (deferred,) = await receiver.receive_deferred_messages(message.sequence_number)
        await receiver.complete_message(deferred)
        assert await receiver.peek_messages(5, sequence_number=1) == []
