"""The main things once more through Azure's client without asyncio."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, AutoLockRenewer, ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import MessageAlreadySettled, MessageLockLostError, ServiceBusAuthenticationError

from localcloud.testing.waiting import wait_for

WAIT = 60


def test_send_receive_and_settle_in_every_way(sync_bus: ServiceBusClient, queue: str) -> None:
    with sync_bus.get_queue_sender(queue) as sender, sync_bus.get_queue_receiver(queue) as receiver:
        sender.send_messages([ServiceBusMessage(name) for name in ("complete", "abandon", "defer", "dead")])
        got = {str(m): m for _ in range(4) for m in receiver.receive_messages(1, max_wait_time=WAIT)}
        receiver.complete_message(got["complete"])
        receiver.defer_message(got["defer"])
        receiver.dead_letter_message(got["dead"], reason="r", error_description="d")
        receiver.abandon_message(got["abandon"])
        with pytest.raises(MessageAlreadySettled):
            receiver.complete_message(got["complete"])
        (again,) = receiver.receive_messages(1, max_wait_time=WAIT)
        assert (str(again), again.delivery_count) == ("abandon", 1)
        receiver.complete_message(again)
        (deferred,) = receiver.receive_deferred_messages([got["defer"].sequence_number or 0])
        receiver.complete_message(deferred)
    with sync_bus.get_queue_receiver(queue, sub_queue="deadletter") as dead:
        (message,) = dead.receive_messages(1, max_wait_time=WAIT)
        assert (message.dead_letter_reason, message.dead_letter_error_description) == ("r", "d")
        dead.complete_message(message)
    with sync_bus.get_queue_receiver(queue) as receiver:
        assert receiver.peek_messages(1) == []


def test_schedule_peek_and_cancel(sync_bus: ServiceBusClient, queue: str) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    with sync_bus.get_queue_sender(queue) as sender, sync_bus.get_queue_receiver(queue) as receiver:
        numbers = sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], later)
        assert [message.sequence_number for message in receiver.peek_messages(5)] == numbers
        sender.cancel_scheduled_messages(numbers)
        assert receiver.peek_messages(5, sequence_number=1) == []


def test_the_renewer_keeps_a_lock(sync_bus: ServiceBusClient) -> None:
    with sync_bus.get_queue_sender("renewed") as sender:
        sender.send_messages(ServiceBusMessage("x"))
    with AutoLockRenewer() as renewer, sync_bus.get_queue_receiver("renewed") as receiver:
        (message,) = receiver.receive_messages(1, max_wait_time=WAIT)
        first_end = message.locked_until_utc
        assert first_end is not None
        renewer.register(receiver, message, max_lock_renewal_duration=30)
        wait_for(lambda: datetime.now(UTC) > first_end + timedelta(seconds=1), "the first lock to end")
        receiver.complete_message(message)


def test_a_lost_lock_is_said_to_be_lost(sync_bus: ServiceBusClient) -> None:
    with sync_bus.get_queue_sender("short-lock") as sender:
        sender.send_messages(ServiceBusMessage("x", message_id="sync"))
    with sync_bus.get_queue_receiver("short-lock") as receiver:
        (message,) = receiver.receive_messages(1, max_wait_time=WAIT)
        (again,) = receiver.receive_messages(1, max_wait_time=WAIT)
        with pytest.raises(MessageLockLostError):
            receiver.renew_message_lock(message)
        receiver.complete_message(again)


def test_the_next_session(sync_bus: ServiceBusClient) -> None:
    with sync_bus.get_queue_sender("sync-sessions") as sender:
        sender.send_messages(ServiceBusMessage("x", session_id="s"))
    with sync_bus.get_queue_receiver(
        "sync-sessions", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=WAIT
    ) as receiver:
        assert receiver.session.session_id == "s"
        receiver.session.set_state("working")
        assert receiver.session.get_state() == b"working"
        (message,) = receiver.receive_messages(1, max_wait_time=WAIT)
        receiver.complete_message(message)


def test_no_such_subscription(sync_bus: ServiceBusClient) -> None:
    with pytest.raises(ServiceBusAuthenticationError) as refused, sync_bus.get_subscription_receiver("news", "none"):
        pass
    assert "Status code: 404" in str(refused.value.inner_exception)
