"""What a queue remembers of messages that are gone: no more than of those that are there."""

from datetime import timedelta

import pytest

from localcloud.servicebus import entities
from localcloud.servicebus.entities import DEFAULT_RULE
from localcloud_tests.unit.servicebus.builders import T0, bodies, broker_with, content, tokens

DAY = timedelta(days=14)
MANY = 2_000
FEW = 200
"""More than a queue keeps of the messages that are gone before it looks at them, and far fewer than MANY."""


def test_messages_that_expire_unreceived_leave_nothing() -> None:
    broker = broker_with({"q": entities.QueueDescription(default_message_time_to_live=timedelta(seconds=1))})
    queue = broker.queue_at("q")
    for number in range(MANY):
        now = T0 + number * 1_000
        broker.advance(now)
        broker.send("q", [content(str(number))], now)
        assert len(queue.messages) == 1
    assert len(queue.ready) < FEW
    assert [m.content for m in queue.receive(9, now, tokens())] == [content(str(MANY - 1))]


def test_sessions_that_are_emptied_leave_nothing() -> None:
    broker = broker_with({"q": entities.QueueDescription(requires_session=True)})
    queue, new = broker.queue_at("q"), tokens()
    for number in range(MANY):
        broker.send("q", [content(session_id=str(number))], T0)
        lock = queue.accept_session(str(number), T0, new())
        (message,) = queue.receive(1, T0, new, str(number))
        assert message.lock is not None
        queue.complete(message.lock.token, T0)
        queue.end_session(str(number), lock.token, T0)
    assert len(queue.ready) < FEW


@pytest.mark.parametrize("settled", ["completed", "taken"])
def test_received_messages_leave_no_expiry(settled: str) -> None:
    broker = broker_with({"q": entities.QueueDescription(default_message_time_to_live=DAY)})
    queue, new = broker.queue_at("q"), tokens()
    for _ in range(MANY):
        broker.send("q", [content()], T0)
        (message,) = queue.receive(1, T0, new if settled == "completed" else None)
        if message.lock is not None:
            queue.complete(message.lock.token, T0)
    assert len(queue.timers) < FEW


def test_a_message_that_is_returned_again_and_again_expires_once() -> None:
    broker = broker_with(
        {"q": entities.QueueDescription(default_message_time_to_live=DAY, max_delivery_count=2 * MANY)}
    )
    queue, new = broker.queue_at("q"), tokens()
    broker.send("q", [content()], T0)
    for _ in range(MANY):
        (message,) = queue.receive(1, T0, new)
        assert message.lock is not None
        queue.renew(message.lock.token, T0)
        queue.abandon(message.lock.token, T0, {})
    assert len(queue.timers) < FEW
    assert len(queue.ready) < FEW


def test_what_is_due_is_known_after_others_are_forgotten() -> None:
    broker = broker_with(
        {"q": entities.QueueDescription(default_message_time_to_live=DAY, lock_duration=timedelta(seconds=10))}
    )
    queue, new = broker.queue_at("q"), tokens()
    broker.send("q", [content("locked")], T0)
    queue.receive(1, T0, new)
    broker.send("q", [content("free"), content("later", due_ms=T0 + 60_000)], T0)
    for _ in range(MANY):
        broker.send("q", [content("gone")], T0)
        queue.remove(queue.messages[queue.next_sequence - 1])
    assert len(queue.timers) < FEW
    assert queue.next_due == T0 + 10_000
    broker.advance(T0 + 10_000)
    assert [m.content.body for m in queue.receive(9, T0 + 10_000, None)] == [
        content("locked").body,
        content("free").body,
    ]
    broker.advance(T0 + 60_000)
    assert bodies(queue) == ["later"]
    broker.advance(T0 + 60_000 + DAY // timedelta(milliseconds=1))
    assert bodies(queue) == []


def test_locks_of_a_message_that_lives_long_leave_no_moment() -> None:
    broker = broker_with(
        {"q": entities.QueueDescription(default_message_time_to_live=DAY, max_delivery_count=2 * MANY)}
    )
    queue, new = broker.queue_at("q"), tokens()
    broker.send("q", [content()], T0)
    now = T0
    for _ in range(MANY):
        queue.receive(1, now, new)
        assert broker.next_due is not None
        now = broker.next_due
        broker.advance(now)
    assert len(broker.timers) < FEW
    assert len(queue.timers) < FEW
    broker.advance(T0 + DAY // timedelta(milliseconds=1))
    assert bodies(queue) == []


@pytest.mark.parametrize("sent_to", ["topic", "queue"])
def test_what_is_passed_on_leaves_nothing(sent_to: str) -> None:
    broker = broker_with(
        {"target": entities.QueueDescription(), "queue": entities.QueueDescription(forward_to="target")},
        {"topic": entities.TopicDescription()},
        {"topic/Subscriptions/s": (entities.SubscriptionDescription(forward_to="target"), (DEFAULT_RULE,))},
    )
    for number in range(MANY):
        broker.send(sent_to, [content(str(number))], T0)
    assert {path: len(queue.ready) for path, queue in broker.queues_by_path.items() if len(queue.ready) > FEW} == {
        "target": MANY
    }
