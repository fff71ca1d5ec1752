"""The times that an event may have. The write API and every reader of a hub apply this one rule."""

from datetime import UTC, datetime, timedelta

from songline.schemas.errors import PoisonError

MAX_FUTURE = timedelta(hours=1)
"""How far an event's time may be ahead of the moment at which it comes in: clocks of senders are not exact."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No event is older."""


def is_too_late(time: datetime, received: datetime | None) -> bool:
    """Whether `time` is further ahead than MAX_FUTURE allows of the second in which it was `received`; False where that
    is not known.

    Whole seconds, as the archive of a hub has them: what is read again from there is decided as it was before.
    """
    return received is not None and time > received.replace(microsecond=0) + MAX_FUTURE


def check_enqueued(time: datetime, enqueued_at: datetime | None) -> None:
    """Raise PoisonError where an event's `time` is too far ahead of the moment at which the hub enqueued it."""
    if is_too_late(time, enqueued_at):
        raise PoisonError("broken-contract", f"time is {time.isoformat()}, over an hour after it was logged")
