"""What follows an attempt at a webhook."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.eventgrid.delivery import (
    MAX_ATTEMPTS,
    NEVER_AGAIN,
    SCHEDULE_S,
    TIME_TO_LIVE_S,
    Attempt,
    DeadLetterFate,
    EventDelivery,
    RetryPolicy,
    after,
    is_expired,
)

NEW = EventDelivery(published_s=1_000.0, attempts=0, next_s=1_000.0)
POLICY = RetryPolicy()
statuses = st.none() | st.integers(100, 599)


def at(status: int | None, at_s: float = 1_000.0) -> Attempt:
    return Attempt(at_s, status, "told")


@pytest.mark.parametrize("status", [200, 201, 202, 203, 204])
def test_an_event_that_was_taken_is_done(status: int) -> None:
    assert after(NEW, at(status), POLICY) is None


@pytest.mark.parametrize("status", sorted(NEVER_AGAIN))
def test_what_the_webhook_will_never_take_is_not_sent_again(status: int) -> None:
    assert after(NEW, at(status), POLICY) == DeadLetterFate("UndeliverableDueToClientError")


def test_pauses_are_those_of_the_documentation() -> None:
    """10 s, 30 s, 1, 5, 10, 30 minutes, 1, 3, 6 hours, then twelve: the day ends before the twelve."""
    delivery, pauses = NEW, []
    while isinstance(fate := after(delivery, at(500, delivery.next_s), POLICY), EventDelivery):
        pauses.append(round(fate.next_s - delivery.next_s))
        delivery = fate
    assert pauses == list(SCHEDULE_S)
    assert fate == DeadLetterFate("TimeToLiveExceeded")


@pytest.mark.parametrize(("status", "pause_s"), [(500, 10), (302, 10), (None, 10), (503, 30), (408, 120), (429, 10)])
def test_some_answers_ask_for_a_longer_pause(status: int | None, pause_s: int) -> None:
    fate = after(NEW, at(status), POLICY)
    assert fate == EventDelivery(1_000.0, 1, 1_000.0 + pause_s)


def test_the_last_attempt_is_the_last() -> None:
    policy = RetryPolicy(max_delivery_attempts=2)
    first = after(NEW, at(500), policy)
    assert isinstance(first, EventDelivery)
    assert after(first, at(500), policy) == DeadLetterFate("MaxDeliveryAttemptsExceeded")


@given(st.lists(statuses, min_size=1, max_size=60), st.floats(0, 5), st.integers(1, 30))
def test_every_event_comes_to_an_end_in_time(answers: list[int | None], late_s: float, most: int) -> None:
    policy = RetryPolicy(max_delivery_attempts=most)
    delivery, tried = NEW, 0
    for status in answers:
        tried += 1
        fate = after(delivery, at(status, delivery.next_s + late_s), policy)
        if not isinstance(fate, EventDelivery):
            break
        assert fate.next_s > delivery.next_s
        assert fate.next_s <= NEW.published_s + TIME_TO_LIVE_S
        assert fate.attempts == tried
        delivery = fate
    assert tried <= most <= MAX_ATTEMPTS


def test_an_event_that_outlived_its_time_is_known_before_an_attempt() -> None:
    assert not is_expired(NEW, 1_000.0 + TIME_TO_LIVE_S, POLICY)
    assert is_expired(NEW, 1_001.0 + TIME_TO_LIVE_S, POLICY)
