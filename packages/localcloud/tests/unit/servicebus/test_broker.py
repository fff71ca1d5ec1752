"""The broker, by example: what the wire's tests can't see, or not at the right moment."""

from datetime import timedelta

import pytest

from localcloud.servicebus import entities, registry
from localcloud.servicebus.changes import MessageInserted, MessageState
from localcloud.servicebus.entities import CorrelationFilter, RuleDescription, SqlAction, SqlFilter
from localcloud.servicebus.entity import EntityDocument
from localcloud.servicebus.errors import (
    EntityNotFoundError,
    InvalidArgumentError,
    MessageLockLostError,
    MessageTooLargeError,
    NotAllowedError,
    QuotaExceededError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)
from localcloud.servicebus.message import REASON, decode_bare
from localcloud_tests.unit.servicebus.builders import T0, bodies, broker_with, content, tokens

MINUTE = 60_000


def test_a_batch_is_taken_whole_or_not_at_all() -> None:
    broker = broker_with({"q": entities.QueueDescription(max_message_size_in_kilobytes=1)})
    broker.take_changes()
    with pytest.raises(MessageTooLargeError):
        broker.send("q", [content("a"), content("b" * 2000), content("c")], T0)
    assert broker.take_changes() == []
    assert bodies(broker.queue_at("q")) == []


def test_the_quota_counts_what_is_there() -> None:
    broker = broker_with({"q": entities.QueueDescription(max_size_in_megabytes=1)})
    broker.send("q", [content("x" * 200_000) for _ in range(5)], T0)
    with pytest.raises(QuotaExceededError, match="receive some"):
        broker.send("q", [content("x" * 200_000)], T0)
    broker.outlet("q").receive(1, T0, None)
    broker.send("q", [content("x" * 200_000)], T0)
    assert broker.queue_at("q").bytes == sum(m.content.size for m in broker.queue_at("q").messages.values())


def test_order_is_kept_over_abandon_and_lock_expiry() -> None:
    broker = broker_with({"q": entities.QueueDescription(lock_duration=timedelta(seconds=10))})
    queue, new = broker.queue_at("q"), tokens()
    broker.send("q", [content(name) for name in "abc"], T0)
    first, second, _ = queue.receive(3, T0, new)
    assert first.lock
    assert second.lock
    queue.abandon(second.lock.token, T0, {})
    assert [m.sequence for m in queue.receive(9, T0, new)] == [2]
    broker.advance(T0 + 9_999)
    assert not queue.receive(9, T0 + 9_999, new)
    broker.advance(T0 + 10_000)
    assert [(m.sequence, m.delivery_count) for m in queue.receive(9, T0 + 10_000, new)] == [(1, 1), (2, 2), (3, 1)]
    with pytest.raises(MessageLockLostError):
        queue.complete(first.lock.token, T0 + 10_000)


def test_a_lock_is_lost_at_its_end_even_before_anybody_looks() -> None:
    broker = broker_with({"q": entities.QueueDescription(lock_duration=timedelta(seconds=1))})
    broker.send("q", [content()], T0)
    (message,) = broker.queue_at("q").receive(1, T0, tokens())
    assert message.lock
    with pytest.raises(MessageLockLostError, match="ended 0 ms ago"):
        broker.queue_at("q").complete(message.lock.token, T0 + 1000)


def test_what_is_locked_does_not_expire_until_it_is_given_back() -> None:
    properties = entities.QueueDescription(
        default_message_time_to_live=timedelta(seconds=5), dead_lettering_on_message_expiration=True
    )
    broker = broker_with({"q": properties})
    queue = broker.queue_at("q")
    broker.send("q", [content()], T0)
    (message,) = queue.receive(1, T0, tokens())
    broker.advance(T0 + 6_000)
    assert len(queue.messages) == 1
    assert message.lock
    queue.abandon(message.lock.token, T0 + 6_000, {})
    assert not queue.messages
    assert queue.dead_letters
    (dead,) = queue.dead_letters.messages.values()
    assert decode_bare(dead.content.bare)[1][REASON] == "TTLExpiredException"
    assert dead.expires_ms is None


def test_a_scheduled_message_becomes_active_with_a_new_number_and_its_life_begins() -> None:
    broker = broker_with({"q": entities.QueueDescription(default_message_time_to_live=timedelta(seconds=5))})
    queue = broker.queue_at("q")
    (number,) = broker.send("q", [content("later", due_ms=T0 + MINUTE)], T0)
    broker.send("q", [content("now")], T0)
    assert queue.messages[number].state is MessageState.SCHEDULED
    assert broker.next_due == T0 + 5_000
    broker.advance(T0 + MINUTE)
    (active,) = queue.messages.values()
    assert (active.sequence, active.state, active.expires_ms) == (3, MessageState.ACTIVE, T0 + MINUTE + 5_000)


def test_the_duplicate_window_slides() -> None:
    properties = entities.QueueDescription(
        requires_duplicate_detection=True, duplicate_detection_history_time_window=timedelta(seconds=10)
    )
    broker = broker_with({"q": properties})
    broker.send("q", [content("1", message_id="a")], T0)
    broker.send("q", [content("2", message_id="a")], T0 + 9_999)
    broker.send("q", [content("3", message_id="a")], T0 + 10_000)
    broker.send("q", [content("4", message_id="a"), content("5", message_id="b")], T0 + 19_999)
    assert bodies(broker.queue_at("q")) == ["1", "3", "5"]


def test_sessions_are_exclusive_and_free_again() -> None:
    broker = broker_with({"q": entities.QueueDescription(requires_session=True, max_delivery_count=2)})
    queue, new = broker.queue_at("q"), tokens()
    with pytest.raises(NotAllowedError):
        broker.send("q", [content()], T0)
    broker.send("q", [content("1", session_id="a"), content("2", session_id="b")], T0)
    assert queue.next_session(T0) == "a"
    lock = queue.accept_session("a", T0, new())
    with pytest.raises(SessionCannotBeLockedError):
        queue.accept_session("a", T0, new())
    assert queue.next_session(T0) == "b"
    (message,) = queue.receive(5, T0, new, "a")
    assert message.lock
    assert queue.renew_session("a", T0 + 30_000) == T0 + 30_000 + MINUTE
    broker.advance(T0 + 30_000 + MINUTE)
    with pytest.raises((SessionLockLostError, MessageLockLostError)):
        queue.complete(message.lock.token, T0 + 30_000 + MINUTE)
    queue.end_session("a", lock.token, T0 + 30_000 + MINUTE)
    now = T0 + 2 * MINUTE
    again = queue.accept_session("a", now, new())
    (message,) = queue.receive(5, now, new, "a")
    assert message.delivery_count == 1
    queue.end_session("a", again.token, now)
    assert queue.messages[message.sequence].delivery_count == 1


def test_links_learn_that_a_session_ended_and_that_another_took_it() -> None:
    broker, new = broker_with({"q": entities.QueueDescription(requires_session=True)}), tokens()
    queue = broker.queue_at("q")
    queue.accept_session("a", T0, new())
    broker.take_ready()
    broker.advance(T0 + MINUTE)
    assert broker.take_ready() == [queue]
    assert not queue.sessions.is_locked("a")
    queue.accept_session("a", T0 + MINUTE, new())
    assert broker.take_ready() == [queue]
    assert queue.sessions.is_locked("a")


def test_a_topic_makes_a_copy_for_each_rule_with_an_action() -> None:
    rules = (
        RuleDescription("plain", CorrelationFilter(label="song")),
        RuleDescription("also", SqlFilter("sys.label = 'song'")),
        RuleDescription(
            "act", SqlFilter("n > 1"), SqlAction("SET n = n * 10; SET sys.Subject = 'changed'; REMOVE gone")
        ),
        RuleDescription("other", SqlFilter("n > 100")),
    )
    broker = broker_with(
        {}, {"t": entities.TopicDescription()}, {"t/Subscriptions/s": (entities.SubscriptionDescription(), rules)}
    )
    broker.send("t", [content(subject="song", properties={"n": 2, "gone": 1})], T0)
    plain, acted = broker.queue_at("t/subscriptions/S").peek(0, 10)
    assert decode_bare(plain.content.bare)[1] == {"n": 2, "gone": 1}
    properties, application = decode_bare(acted.content.bare)
    assert (properties.subject, application) == ("changed", {"n": 20})


def test_a_filter_that_can_not_be_evaluated_kills_the_copy_if_told_to() -> None:
    rules = (RuleDescription("r", SqlFilter("1 / n = 1")),)
    strict = entities.SubscriptionDescription(dead_lettering_on_filter_evaluation_exceptions=True)
    lax = entities.SubscriptionDescription(dead_lettering_on_filter_evaluation_exceptions=False)
    broker = broker_with(
        {},
        {"t": entities.TopicDescription()},
        {"t/Subscriptions/strict": (strict, rules), "t/Subscriptions/lax": (lax, rules)},
    )
    broker.send("t", [content(properties={"n": 0})], T0)
    assert bodies(broker.queue_at("t/Subscriptions/strict/$DeadLetterQueue")) == ["x"]
    assert bodies(broker.queue_at("t/Subscriptions/lax")) == []


def test_four_hops_are_allowed_and_a_fifth_is_not() -> None:
    chain = {f"q{n}": entities.QueueDescription(forward_to=f"q{n + 1}") for n in range(1, 6)}
    broker = broker_with({**chain, "q6": entities.QueueDescription()})
    broker.send("q2", [content("four")], T0)
    broker.send("q1", [content("five")], T0)
    assert bodies(broker.queue_at("q6")) == ["four"]
    assert bodies(broker.queue_at("q5/$Transfer/$DeadLetterQueue")) == ["five"]


def test_dead_letters_that_can_not_be_forwarded_stay() -> None:
    broker = broker_with(
        {
            "q": entities.QueueDescription(max_delivery_count=1, forward_dead_lettered_messages_to="gone"),
            "gone": entities.QueueDescription(),
        }
    )
    broker.delete(broker.entity("gone"))
    broker.send("q", [content("dead")], T0)
    (message,) = broker.queue_at("q").receive(1, T0, tokens())
    assert message.lock
    broker.queue_at("q").abandon(message.lock.token, T0, {})
    broker.forward_ready(T0)
    assert bodies(broker.queue_at("q/$DeadLetterQueue")) == ["dead"]


def test_an_idle_entity_ends() -> None:
    broker = broker_with({"q": entities.QueueDescription(auto_delete_on_idle=timedelta(minutes=5))})
    broker.send("q", [content()], T0 + MINUTE)
    broker.advance(T0 + 5 * MINUTE)
    assert "q" in broker.queues
    broker.advance(T0 + 6 * MINUTE)
    with pytest.raises(EntityNotFoundError):
        broker.queue_at("q")


def test_deleting_one_entity_leaves_those_whose_name_begins_alike() -> None:
    broker = broker_with({"a": entities.QueueDescription(), "a/b": entities.QueueDescription()})
    broker.send("a/b", [content("stays")], T0)
    broker.delete(broker.entity("a"))
    assert bodies(broker.queue_at("A/B")) == ["stays"]


def test_turning_on_forwarding_moves_what_is_there() -> None:
    broker = broker_with({"from": entities.QueueDescription(), "to": entities.QueueDescription()})
    broker.send("from", [content("x")], T0)
    registry.update(broker, broker.entity("from"), entities.QueueDescription(forward_to="to"), T0)
    broker.forward_ready(T0)
    assert bodies(broker.queue_at("to")) == ["x"]


@pytest.mark.parametrize("name", ["", "a b", "a.", "-a", "a" * 261, "t/subscriptions/x"])
def test_names_that_can_not_be(name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        registry.create(broker_with(), EntityDocument(name, T0, T0, queue=entities.QueueDescription()), T0)


def test_everything_durable_is_told() -> None:
    broker = broker_with({"q": entities.QueueDescription()})
    broker.send("q", [content("a"), content("b")], T0)
    assert [type(change) for change in broker.take_changes()] == [MessageInserted, MessageInserted]
    assert broker.take_changes() == []


def test_deferring_counts_as_a_delivery_and_a_dead_letter_keeps_its_count() -> None:
    """As the JavaScript SDK's tests hold against the service: abandoned in the dead-letter queue, it counts no more."""
    queue = broker_with({"q": entities.QueueDescription()}).queue_at("q")
    dead, new = queue.dead_letters, tokens()
    assert dead is not None
    queue.push(content("a"), T0)
    (message,) = queue.receive(1, T0, new)
    for count in (1, 2):
        assert message.lock is not None
        queue.defer(message.lock.token, T0, {})
        (message,) = queue.receive_deferred([message.sequence], T0, new)
        assert message.delivery_count == count
    assert message.lock is not None
    queue.dead_letter(message.lock.token, T0, None, None, {})
    for _ in range(2):
        (letter,) = dead.receive(1, T0, new)
        assert letter.lock is not None
        assert letter.delivery_count == 2
        dead.abandon(letter.lock.token, T0, {})
