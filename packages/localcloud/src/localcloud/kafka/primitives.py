"""kio's phantom types, for values that are in range by construction.

kio's own constructors check each value at 2 microseconds apiece; a writer refuses what is out of range anyway.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, cast

from kio.schema.types import BrokerId, GroupId, TopicName
from kio.static import primitive
from kio.static.primitive import Records, TZAware, i32Timedelta


def i8(value: int) -> primitive.i8:
    return cast(primitive.i8, value)


def i16(value: int) -> primitive.i16:
    return cast(primitive.i16, value)


def i32(value: int) -> primitive.i32:
    return cast(primitive.i32, value)


def i64(value: int) -> primitive.i64:
    return cast(primitive.i64, value)


def topic(name: str) -> TopicName:
    return cast(TopicName, name)


def group(name: str) -> GroupId:
    return cast(GroupId, name)


def append_time(ms: int) -> TZAware:
    return cast(TZAware, datetime.fromtimestamp(ms // 1_000, UTC).replace(microsecond=ms % 1_000 * 1_000))


def records(data: bytes) -> Records:
    return cast(Records, data)


NODE: Final = cast(BrokerId, 0)
"""The one broker that this namespace shows, as Event Hubs does."""
NO_THROTTLE: Final = cast(i32Timedelta, timedelta())
LEADER_EPOCH: Final = i32(0)


def milliseconds(value: timedelta) -> int:
    """Whole milliseconds, which is what the wire had."""
    return round(value.total_seconds() * 1000)
