"""Whether what is known is recent enough to act on. A process may have been stopped since it learned it."""

from datetime import datetime, timedelta

RECENT = timedelta(seconds=5)
"""What a worker wrote or read so long ago is taken to hold. One that was stopped for longer asks again."""


def is_recent(at: datetime, now: datetime, within: timedelta) -> bool:
    """Whether it is less than `within` since `at`. A time that is yet to come is not recent: a clock was put back, or
    is another machine's."""
    return timedelta() <= now - at < within
