"""What a delivered message is made of, as the service's own would be: with Azure's client as the decoder."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageHeader
from azure.servicebus.exceptions import SessionLockLostError

from localcloud.testing.waiting import wait_for_async

WAIT = 60
DELETING = ServiceBusReceiveMode.RECEIVE_AND_DELETE
STATE = b"x-opt-message-state"


async def send(bus: ServiceBusClient, queue: str, *messages: ServiceBusMessage) -> None:
    async with bus.get_queue_sender(queue) as sender:
        await sender.send_messages(list(messages))


async def lock_end(receiver: ServiceBusReceiver) -> None:
    """Wait until the session's lock has ended, by the client's clock."""

    async def over() -> bool:
        until = receiver.session.locked_until_utc
        return until is not None and until < datetime.now(UTC)

    await wait_for_async(over, "the session's lock to end")


async def test_an_active_message_has_no_state_and_no_durability(bus: ServiceBusClient, queue: str) -> None:
    await send(bus, queue, ServiceBusMessage("x"))
    async with bus.get_queue_receiver(queue) as receiver:
        (peeked,) = await receiver.peek_messages()
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        for got in (peeked, message):
            raw = got.raw_amqp_message
            assert raw.annotations is not None
            assert STATE not in raw.annotations
            assert raw.header is not None
            assert raw.header.durable is None
            assert got.state is ServiceBusMessageState.ACTIVE
        delivery = message.raw_amqp_message.delivery_annotations
        assert delivery is not None
        assert list(delivery) == [b"x-opt-lock-token"]
        await receiver.defer_message(message)
        (deferred,) = await receiver.peek_messages(sequence_number=1)
        assert deferred.state is ServiceBusMessageState.DEFERRED


def said_of(message: ServiceBusReceivedMessage) -> tuple[bool, bool | None, list[Any]]:
    """Whether a delivery has a state, its durability, and the names of its delivery annotations."""
    raw = message.raw_amqp_message
    assert raw.header is not None
    return STATE in (raw.annotations or {}), raw.header.durable, list(raw.delivery_annotations or {})


async def test_each_kind_of_delivery_says_the_same_whatever_the_sender_said(bus: ServiceBusClient, queue: str) -> None:
    async with bus.get_queue_sender(queue) as sender:
        header, annotations = AmqpMessageHeader(durable=True), dict[Any, Any]({STATE: 2})
        await sender.send_messages(AmqpAnnotatedMessage(data_body=b"x", header=header, annotations=annotations))
    locked = (False, None, [b"x-opt-lock-token"])
    async with bus.get_queue_receiver(queue) as receiver:
        (first,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert said_of(first) == locked
        await receiver.abandon_message(first)
        (again,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert said_of(again) == locked
        await receiver.defer_message(again)
        assert again.sequence_number is not None
        (deferred,) = await receiver.receive_deferred_messages(again.sequence_number)
        assert (said_of(deferred)[:2], deferred.state) == ((True, None), ServiceBusMessageState.DEFERRED)
        await receiver.dead_letter_message(deferred)
    dead = ServiceBusSubQueue.DEAD_LETTER
    async with bus.get_queue_receiver(queue, sub_queue=dead) as receiver:
        (letter,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert said_of(letter) == locked
        await receiver.abandon_message(letter)
    async with bus.get_queue_receiver(queue, sub_queue=dead, receive_mode=DELETING) as receiver:
        (letter,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert said_of(letter) == (False, None, [])
    await send(bus, "sessions", ServiceBusMessage("x", session_id=queue))
    async with bus.get_queue_receiver("sessions", session_id=queue) as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert said_of(message) == locked


async def test_a_scheduled_message_says_so(bus: ServiceBusClient, queue: str) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    await send(bus, queue, ServiceBusMessage("x", scheduled_enqueue_time_utc=later))
    async with bus.get_queue_receiver(queue) as receiver:
        (peeked,) = await receiver.peek_messages()
        assert peeked.state is ServiceBusMessageState.SCHEDULED


async def test_a_message_that_is_deleted_when_sent_has_empty_delivery_annotations(
    bus: ServiceBusClient, queue: str
) -> None:
    """In the size that a message of just these properties has from Azure, by the client's own tests."""
    message = ServiceBusMessage(
        "hello",
        application_properties={"prop": "test"},
        session_id="id_session",
        message_id="id_message",
        time_to_live=timedelta(seconds=30),
        content_type="content type",
        correlation_id="correlation",
        subject="github",
        partition_key="id_session",
        to="forward to",
        reply_to="reply to",
        reply_to_session_id="reply to session",
    )
    await send(bus, queue, message)
    async with bus.get_queue_receiver(queue, receive_mode=DELETING) as receiver:
        (got,) = await receiver.receive_messages(1, max_wait_time=WAIT)
    assert got.raw_amqp_message.delivery_annotations == {}
    names = {b"x-opt-enqueued-time", b"x-opt-sequence-number", b"x-opt-partition-key"}
    assert set(got.raw_amqp_message.annotations or {}) == names
    with pytest.warns(DeprecationWarning, match="message"):
        assert got.message.get_message_encoded_size() == 263


def tag_of(message: ServiceBusReceivedMessage) -> bytes | None:
    """The tag of a delivery; None when it is empty."""
    with pytest.warns(DeprecationWarning, match="message"):
        tag: bytes | None = message.message.delivery_tag
    return tag


async def test_a_delivery_is_tagged_by_its_lock_and_not_at_all_without_one(bus: ServiceBusClient, queue: str) -> None:
    """Clients keep each distinct tag for as long as they live."""
    await send(bus, queue, *(ServiceBusMessage("x") for _ in range(3)))
    async with bus.get_queue_receiver(queue) as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert message.lock_token is not None
        assert tag_of(message) == UUID(str(message.lock_token)).bytes_le
        await receiver.dead_letter_message(message)
    dead = ServiceBusSubQueue.DEAD_LETTER
    async with bus.get_queue_receiver(queue, sub_queue=dead, receive_mode=DELETING) as receiver:
        (letter,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert tag_of(letter) is None
    async with bus.get_queue_receiver(queue, receive_mode=DELETING) as receiver:
        for _ in range(2):
            (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
            assert tag_of(message) is None
    await send(bus, "sessions", ServiceBusMessage("x", session_id=queue))
    async with bus.get_queue_receiver("sessions", session_id=queue, receive_mode=DELETING) as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert tag_of(message) is None


@pytest.mark.parametrize("value", ["1.2345", "-1.2345", "0", "-3", "1E+3", "12345678.9", "4294967295", "1E-28"])
async def test_a_decimal_property_comes_as_it_was_sent(bus: ServiceBusClient, queue: str, value: str) -> None:
    given: dict[str | bytes, Any] = {"decimal": Decimal(value), "text": "t", "whole": 7}
    await send(bus, queue, ServiceBusMessage("x", application_properties=dict(given)))
    async with bus.get_queue_receiver(queue) as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert message.application_properties == {b"decimal": Decimal(value), b"text": b"t", b"whole": 7}
        await receiver.abandon_message(message)
    async with bus.get_queue_receiver(queue, receive_mode=DELETING) as receiver:
        (again,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert again.application_properties == message.application_properties


async def test_a_receiver_may_wait_beyond_the_end_of_its_sessions_lock(bus: ServiceBusClient) -> None:
    """The lock is lost at its end, for settling and to others; the link that waits is told later."""
    await send(bus, "more-sessions", ServiceBusMessage("x", session_id="waiting"))
    async with bus.get_queue_receiver("more-sessions", session_id="waiting", receive_mode=DELETING) as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert str(message) == "x"
        # The lock, of one second, ends while this waits.
        assert await receiver.receive_messages(1, max_wait_time=2.5) == []
        with pytest.raises(SessionLockLostError):
            await receiver.session.renew_lock()


async def test_a_link_without_its_session_gets_nothing_and_is_told_in_the_end(bus: ServiceBusClient) -> None:
    async with bus.get_queue_receiver("more-sessions", session_id="lapsing", receive_mode=DELETING) as receiver:
        begun = time.monotonic()
        waiting = asyncio.create_task(receiver.receive_messages(1, max_wait_time=60))
        await lock_end(receiver)
        await send(bus, "more-sessions", ServiceBusMessage("x", session_id="lapsing"))
        with pytest.raises(SessionLockLostError):
            await waiting
        assert time.monotonic() - begun < 50
    async with bus.get_queue_receiver("more-sessions", session_id="lapsing", receive_mode=DELETING) as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        assert str(message) == "x"


async def test_a_link_is_told_at_once_when_another_takes_its_session(bus: ServiceBusClient) -> None:
    async with bus.get_queue_receiver("more-sessions", session_id="taken", receive_mode=DELETING) as receiver:
        waiting = asyncio.create_task(receiver.receive_messages(1, max_wait_time=60))
        await lock_end(receiver)
        async with bus.get_queue_receiver("more-sessions", session_id="taken"):
            with pytest.raises(SessionLockLostError):
                await waiting
