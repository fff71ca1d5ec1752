"""The rules of the charts, with their version: how much a bucket weighs, what a window is. What a listen is stands in
`songline.schemas.listening`.

A rebuild under another version changes the past on purpose, so a rule is never edited in place.
"""

from math import exp2
from typing import Literal, TypeAlias

from msgspec import Struct

READER = "trending"
"""The name under which the worker parks records, and for which they are sent again."""

VERSION = "v1"

LIKE_WEIGHT = 4
SCALE_BITS = 32
"""Weights and scores are whole multiples of 2^-32, so that a sum is the same in any order and on any machine."""

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
WEEK_HOURS = 168

Unit: TypeAlias = Literal["minute", "hour"]
UNIT_MS: dict[Unit, int] = {"minute": MINUTE_MS, "hour": HOUR_MS}


class Span(Struct, frozen=True):
    """A window: its last bucket is that of the moment, its first `buckets - 1` before it."""

    unit: Unit
    buckets: int

    def weights(self) -> tuple[int, ...]:
        """The weight of a bucket by its age in buckets, 0 for the current one: half as much every half window."""
        return tuple(round(exp2(-age / (self.buckets / 2)) * (1 << SCALE_BITS)) for age in range(self.buckets))


SPANS: dict[str, Span] = {
    "5m": Span("minute", 5),
    "1h": Span("minute", 60),
    "24h": Span("hour", 24),
    "7d": Span("hour", WEEK_HOURS),
}
