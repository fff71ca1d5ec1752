"""The windows of the charts and their buckets: what no policy changes, since messages and saved keys are made of them.
What a bucket weighs, and what a listen is, stand in `songline.schemas.policy`.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from songline.schemas.plays import HOURS

READER = "trending"
"""The name under which the worker parks records, and for which they are sent again."""

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
WEEK_HOURS = 168

Unit: TypeAlias = Literal["minute", "hour"]
UNIT_MS: dict[Unit, int] = {"minute": MINUTE_MS, "hour": HOUR_MS}


class Span(Struct, frozen=True):
    """A window: its last bucket is that of the moment, its first `buckets - 1` before it."""

    unit: Unit
    buckets: int


SPANS: dict[str, Span] = {
    "5m": Span("minute", 5),
    "1h": Span("minute", 60),
    "24h": Span("hour", 24),
    "7d": Span("hour", WEEK_HOURS),
}


def has_passed(length_ms: float, since_ms: int, now_ms: int) -> bool:
    """Whether it is so long since a moment. Where that is yet to come, the clock was set back, and nothing waits for
    it."""
    return not 0 <= now_ms - since_ms < length_ms


def first_counted_hour(now_ms: int) -> int:
    """The oldest hour that a shard may count: the first of the day that a window of a week reaches into."""
    return (now_ms // HOUR_MS - WEEK_HOURS + 1) // HOURS * HOURS
