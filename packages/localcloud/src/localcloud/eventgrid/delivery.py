"""One event for one subscription, from its publication until a webhook has taken it or it is a dead letter. Pure.

Source: "Event Grid message delivery and retry" of Azure's documentation: the schedule, which answers are not tried
again, and the reasons of dead letters.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

SCHEDULE_S: Final = (10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200)
"""Pauses after the first, the second and so on attempt that failed; the last one goes on."""

NEVER_AGAIN: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    413: "RequestEntityTooLarge",
}
"""Answers of a webhook after which an event is not sent again."""

PAUSE_AT_LEAST_S: Final = {408: 120, 503: 30}
MAX_ATTEMPTS: Final = 30
TIME_TO_LIVE_S: Final = 86_400

DeadLetterReason = Literal["MaxDeliveryAttemptsExceeded", "TimeToLiveExceeded", "UndeliverableDueToClientError"]


class RetryPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """How often and how long an event is tried. `schedule_s` is the service's, if a test does not shorten it."""

    max_delivery_attempts: int = MAX_ATTEMPTS
    time_to_live_s: float = TIME_TO_LIVE_S
    schedule_s: tuple[float, ...] = SCHEDULE_S


class Attempt(msgspec.Struct, frozen=True):
    """What came of an attempt at `at_s`: the status of the answer, or None where there was none; `result` in words."""

    at_s: float
    status: int | None
    result: str


class EventDelivery(msgspec.Struct, frozen=True):
    """An event that waits: how often it was tried, and when it is tried next, in Unix seconds."""

    published_s: float
    attempts: int
    next_s: float


class DeadLetterFate(msgspec.Struct, frozen=True):
    """It is not tried again."""

    reason: DeadLetterReason


Fate = EventDelivery | DeadLetterFate | None


def after(delivery: EventDelivery, attempt: Attempt, policy: RetryPolicy) -> Fate:
    """What follows: None where it was taken, a dead letter, or the delivery as it waits for its next attempt."""
    if attempt.status is not None and 200 <= attempt.status <= 204:
        return None
    if attempt.status in NEVER_AGAIN:
        return DeadLetterFate("UndeliverableDueToClientError")
    attempts = delivery.attempts + 1
    if attempts >= policy.max_delivery_attempts:
        return DeadLetterFate("MaxDeliveryAttemptsExceeded")
    pause_s = _pause_s(attempts, attempt.status, policy.schedule_s)
    next_s = attempt.at_s + pause_s
    if next_s > delivery.published_s + policy.time_to_live_s:
        return DeadLetterFate("TimeToLiveExceeded")
    return EventDelivery(delivery.published_s, attempts, next_s)


def is_expired(delivery: EventDelivery, now_s: float, policy: RetryPolicy) -> bool:
    """Whether the event has outlived its time before an attempt, as after a pause of the whole service."""
    return now_s > delivery.published_s + policy.time_to_live_s


def _pause_s(attempts: int, status: int | None, schedule_s: Sequence[float]) -> float:
    planned = schedule_s[min(attempts, len(schedule_s)) - 1]
    # A shortened schedule shortens these too.
    scale = schedule_s[0] / SCHEDULE_S[0]
    return max(planned, PAUSE_AT_LEAST_S.get(status or 0, 0) * scale)
