"""Queues, through Azure's client for asyncio."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.amqp import AmqpMessageHeader
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
    ServiceBusQuotaExceededError,
)

WAIT = 60


async def one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
    return message


async def send(bus: ServiceBusClient, queue: str, *messages: ServiceBusMessage) -> None:
    async with bus.get_queue_sender(queue) as sender:
        for message in messages:
            await sender.send_messages(message)


async def nothing(bus: ServiceBusClient, queue: str) -> bool:
    async with bus.get_queue_receiver(queue) as receiver:
        return await receiver.peek_messages(1) == []


async def test_a_message_comes_back_as_it_went(bus: ServiceBusClient, queue: str) -> None:
    identity = uuid4()
    sent = ServiceBusMessage(
        b"\x00body",
        application_properties={"n": 1, "f": 1.5, "s": "text", "b": True, "u": identity},
        message_id="id-1",
        subject="subject",
        correlation_id="c",
        content_type="text/plain",
        reply_to="r",
        to="t",
        reply_to_session_id="rs",
        time_to_live=timedelta(hours=1),
    )
    sent.raw_amqp_message.delivery_annotations = {"for": "the next"}
    sent.raw_amqp_message.header = AmqpMessageHeader(priority=7)
    before = datetime.now(UTC)
    await send(bus, queue, sent)
    async with bus.get_queue_receiver(queue) as receiver:
        message = await one(receiver)
        assert b"".join(message.body) == b"\x00body"
        assert message.application_properties == {b"n": 1, b"f": 1.5, b"s": b"text", b"b": True, b"u": identity}
        assert (message.message_id, message.subject, message.correlation_id) == ("id-1", "subject", "c")
        assert (message.content_type, message.reply_to, message.to) == ("text/plain", "r", "t")
        assert message.reply_to_session_id == "rs"
        assert message.delivery_count == 0
        assert message.time_to_live == timedelta(hours=1)
        assert message.enqueued_time_utc is not None
        assert abs(message.enqueued_time_utc - before) < timedelta(seconds=30)
        assert message.locked_until_utc is not None
        assert message.locked_until_utc > before + timedelta(seconds=50)
        assert message.raw_amqp_message.delivery_annotations == {
            b"for": b"the next",
            b"x-opt-lock-token": message.lock_token,
        }
        assert message.raw_amqp_message.header is not None
        assert message.raw_amqp_message.header.priority == 7
        await receiver.complete_message(message)
    assert await nothing(bus, queue)


async def test_batches_keep_their_order(bus: ServiceBusClient, queue: str) -> None:
    async with bus.get_queue_sender(queue) as sender:
        batch = await sender.create_message_batch()
        for number in range(100):
            batch.add_message(ServiceBusMessage(str(number)))
        await sender.send_messages(batch)
    async with bus.get_queue_receiver(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        got: list[str] = []
        numbers: list[int] = []
        while len(got) < 100:
            for message in await receiver.receive_messages(100, max_wait_time=WAIT):
                got.append(str(message))
                numbers.append(message.sequence_number or 0)
    assert got == [str(number) for number in range(100)]
    assert numbers == list(range(numbers[0], numbers[0] + 100))
    assert await nothing(bus, queue)


async def test_abandoned_comes_again_with_its_properties_until_it_dies(bus: ServiceBusClient) -> None:
    await send(bus, "two-tries", ServiceBusMessage("x"))
    async with bus.get_queue_receiver("two-tries") as receiver:
        await receiver.abandon_message(await one(receiver))
        second = await one(receiver)
        assert second.delivery_count == 1
        await receiver.abandon_message(second)
    async with bus.get_queue_receiver("two-tries", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        message = await one(dead)
        assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
        assert message.dead_letter_source == "two-tries"
        assert message.enqueued_sequence_number == second.sequence_number
        await dead.complete_message(message)
    assert await nothing(bus, "two-tries")


async def test_dead_letter_with_a_reason(bus: ServiceBusClient, queue: str) -> None:
    await send(bus, queue, ServiceBusMessage("x", application_properties={"kept": 1}))
    async with bus.get_queue_receiver(queue) as receiver:
        await receiver.dead_letter_message(await one(receiver), reason="bad", error_description="not a song")
    async with bus.get_queue_receiver(queue, sub_queue="deadletter") as dead:
        message = await one(dead)
        assert (message.dead_letter_reason, message.dead_letter_error_description) == ("bad", "not a song")
        assert message.application_properties is not None
        assert message.application_properties[b"kept"] == 1
        await dead.complete_message(message)


async def test_the_dead_do_not_die_again(bus: ServiceBusClient) -> None:
    await send(bus, "two-tries", ServiceBusMessage("x"))
    async with bus.get_queue_receiver("two-tries") as receiver:
        await receiver.dead_letter_message(await one(receiver))
    async with bus.get_queue_receiver("two-tries", sub_queue="deadletter") as dead:
        message = await one(dead)
        with pytest.raises(ServiceBusError, match="already"):
            await dead.dead_letter_message(message, reason="again")
    async with bus.get_queue_receiver(
        "two-tries", sub_queue="deadletter", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
    ) as dead:
        assert [str(message) for message in await dead.peek_messages(5)] == ["x"]


async def test_deferred_is_received_by_its_number_only(bus: ServiceBusClient, queue: str) -> None:
    await send(bus, queue, ServiceBusMessage("later"), ServiceBusMessage("now"))
    async with bus.get_queue_receiver(queue) as receiver:
        first = await one(receiver)
        await receiver.defer_message(first)
        await receiver.complete_message(await one(receiver))
        assert first.sequence_number is not None
        assert await receiver.receive_messages(1, max_wait_time=1) == []
        (deferred,) = await receiver.receive_deferred_messages(first.sequence_number)
        assert str(deferred) == "later"
        await receiver.abandon_message(deferred)
        (again,) = await receiver.receive_deferred_messages([first.sequence_number])
        assert again.delivery_count == 2
        await receiver.complete_message(again)
        with pytest.raises(MessageNotFoundError):
            await receiver.receive_deferred_messages(first.sequence_number)


async def test_a_lock_that_ends_gives_the_message_back(bus: ServiceBusClient) -> None:
    await send(bus, "short-lock", ServiceBusMessage("x"))
    async with bus.get_queue_receiver("short-lock") as receiver:
        first = await one(receiver)
        second = await one(receiver)
        assert second.delivery_count == 1
        assert second.sequence_number == first.sequence_number
        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(first)
        await receiver.complete_message(second)


async def test_a_renewed_lock_lasts(bus: ServiceBusClient, queue: str) -> None:
    await send(bus, queue, ServiceBusMessage("x"))
    async with bus.get_queue_receiver(queue) as receiver:
        message = await one(receiver)
        before = message.locked_until_utc
        assert before is not None
        after = await receiver.renew_message_lock(message)
        assert after > before
        await receiver.complete_message(message)


async def test_what_is_settled_without_a_link_is_settled_through_management(bus: ServiceBusClient, queue: str) -> None:
    await send(bus, queue, ServiceBusMessage("x"))
    async with bus.get_queue_receiver(queue) as receiver:
        message = await one(receiver)
        # Nothing public ends a link and leaves the receiver open.
        link = receiver._handler._link
        assert link is not None
        await link.detach()
        await receiver.complete_message(message)
    assert await nothing(bus, queue)


async def test_scheduled_and_cancelled(bus: ServiceBusClient, queue: str) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=3)
    async with bus.get_queue_sender(queue) as sender, bus.get_queue_receiver(queue) as receiver:
        first, second = await sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], soon)
        peeked = await receiver.peek_messages(10)
        assert [message.state.name for message in peeked] == ["SCHEDULED", "SCHEDULED"]
        await sender.cancel_scheduled_messages(first)
        message = await one(receiver)
        assert str(message) == "b"
        assert message.sequence_number is not None
        assert message.sequence_number > second
        assert datetime.now(UTC) >= soon
        await receiver.complete_message(message)
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(second)


async def test_peek_leaves_everything_as_it_is(bus: ServiceBusClient, queue: str) -> None:
    await send(bus, queue, *[ServiceBusMessage(str(n)) for n in range(5)])
    async with bus.get_queue_receiver(queue) as receiver:
        locked = await one(receiver)
        assert locked.sequence_number is not None
        peeked = await receiver.peek_messages(3, sequence_number=1)
        assert [str(message) for message in peeked] == ["0", "1", "2"]
        rest = await receiver.peek_messages(10, sequence_number=locked.sequence_number + 3)
        assert [str(message) for message in rest] == ["3", "4"]
        await receiver.complete_message(locked)
        for message in await receiver.receive_messages(4, max_wait_time=WAIT):
            await receiver.complete_message(message)


async def test_what_expires_dies(bus: ServiceBusClient) -> None:
    await send(bus, "expiring", ServiceBusMessage("x", time_to_live=timedelta(milliseconds=200)))
    async with bus.get_queue_receiver("expiring", sub_queue="deadletter") as dead:
        message = await one(dead)
        assert message.dead_letter_reason == "TTLExpiredException"
        await dead.complete_message(message)
    assert await nothing(bus, "expiring")


async def test_a_duplicate_is_dropped_and_reported_as_sent(bus: ServiceBusClient) -> None:
    await send(bus, "once", *[ServiceBusMessage(str(n), message_id=f"id{n % 2}") for n in range(6)])
    async with bus.get_queue_receiver("once") as receiver:
        assert [str(message) for message in await receiver.peek_messages(10)] == ["0", "1"]
        for _ in range(2):
            await receiver.complete_message(await one(receiver))
    await send(bus, "once", ServiceBusMessage("again", message_id="id0"))
    assert await nothing(bus, "once")


async def test_forwarding(bus: ServiceBusClient) -> None:
    await send(bus, "hop", ServiceBusMessage("forwarded"))
    async with bus.get_queue_receiver("end") as receiver:
        message = await one(receiver)
        assert str(message) == "forwarded"
        await receiver.complete_message(message)


async def test_dead_letters_are_forwarded(bus: ServiceBusClient) -> None:
    await send(bus, "mortal", ServiceBusMessage("dead"))
    async with bus.get_queue_receiver("mortal") as receiver:
        await receiver.dead_letter_message(await one(receiver), reason="why")
    async with bus.get_queue_receiver("graves") as graves:
        message = await one(graves)
        assert message.dead_letter_reason == "why"
        await graves.complete_message(message)


async def test_a_ring_of_forwards_ends_in_the_transfer_dead_letter_queue(bus: ServiceBusClient) -> None:
    await send(bus, "ring-a", ServiceBusMessage("round"))
    async with bus.get_queue_receiver("ring-a", sub_queue=ServiceBusSubQueue.TRANSFER_DEAD_LETTER) as dead:
        message = await one(dead)
        assert "4 times" in (message.dead_letter_error_description or "")
        await dead.complete_message(message)


async def test_big_messages_in_both_directions(bus: ServiceBusClient) -> None:
    body = bytes(range(256)) * 4096 * 20
    await send(bus, "big", ServiceBusMessage(body))
    async with bus.get_queue_receiver("big") as receiver:
        message = await one(receiver)
        assert b"".join(message.body) == body
        await receiver.abandon_message(message)
        message = await one(receiver)
        assert b"".join(message.body) == body
        await receiver.complete_message(message)


async def test_too_big_a_message_is_refused(bus: ServiceBusClient, queue: str) -> None:
    async with bus.get_queue_sender(queue) as sender:
        with pytest.raises(MessageSizeExceededError):
            await sender.send_messages(ServiceBusMessage(b"x" * 300_000))
    assert await nothing(bus, queue)


async def test_a_full_queue_is_full(bus: ServiceBusClient) -> None:
    async with bus.get_queue_sender("small-quota") as sender:
        with pytest.raises(ServiceBusQuotaExceededError):
            for _ in range(6):
                await sender.send_messages(ServiceBusMessage(b"x" * 200_000))
    async with bus.get_queue_receiver("small-quota") as receiver:
        assert len(await receiver.peek_messages(10)) in (4, 5)


async def test_a_queue_that_is_not_there(bus: ServiceBusClient) -> None:
    with pytest.raises(ServiceBusAuthenticationError) as refused:
        await send(bus, "nowhere", ServiceBusMessage("x"))
    assert "404\nDescription: The messaging entity 'nowhere' could not be found" in str(refused.value.inner_exception)
    with pytest.raises(ServiceBusAuthenticationError):
        async with bus.get_queue_receiver("nowhere") as receiver:
            await receiver.receive_messages(1, max_wait_time=1)


async def test_a_disabled_queue(bus: ServiceBusClient) -> None:
    with pytest.raises(MessagingEntityDisabledError):
        await send(bus, "closed", ServiceBusMessage("x"))


async def test_a_wrong_key(connection_string: str, queue: str) -> None:
    wrong = connection_string.replace("SAS_KEY_VALUE", "WRONG")
    async with ServiceBusClient.from_connection_string(wrong, retry_total=0) as client:
        with pytest.raises((ServiceBusAuthenticationError, ServiceBusAuthorizationError)):
            await send(client, queue, ServiceBusMessage("x"))


async def test_many_receivers_share_a_queue(bus: ServiceBusClient, queue: str) -> None:
    async with bus.get_queue_receiver(queue) as one_receiver, bus.get_queue_receiver(queue) as other:
        async with bus.get_queue_sender(queue) as sender:
            await sender.send_messages([ServiceBusMessage(str(number)) for number in range(20)])
        seen: set[str] = set()
        for receiver in (one_receiver, other, one_receiver, other):
            for message in await receiver.receive_messages(5, max_wait_time=WAIT):
                assert str(message) not in seen
                seen.add(str(message))
                await receiver.complete_message(message)
        while len(seen) < 20:
            message = await one(one_receiver)
            seen.add(str(message))
            await one_receiver.complete_message(message)
    assert await nothing(bus, queue)


async def test_a_received_message_can_be_sent_again(bus: ServiceBusClient, queue: str) -> None:
    async with bus.get_queue_sender(queue) as sender, bus.get_queue_receiver(queue) as receiver:
        await sender.send_messages(ServiceBusMessage("again"))
        (first,) = await receiver.receive_messages(1, max_wait_time=60)
        await receiver.complete_message(first)
        await sender.send_messages(first)
        (second,) = await receiver.receive_messages(1, max_wait_time=60)
        assert str(second) == "again"
        assert second.lock_token != first.lock_token
        assert second.raw_amqp_message.delivery_annotations == {b"x-opt-lock-token": second.lock_token}
