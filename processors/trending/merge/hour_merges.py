"""The shards' reports of hours, each of which makes the snapshots of one."""

from songline.processors.trending.merge.state import Merge
from songline.processors.trending.shards.wire import ReportPart
from songline.processors.trending.spans import HOUR_MS
from songline.schemas.policy import ChartPolicy

LATE_MS = 120_000
"""A shard reports an hour within its first minute, or never."""


class HourMerge:
    """The reports of one hour, which begin at the offset `begin`."""

    def __init__(self, hour: int, begin: int, shards: int, policy: ChartPolicy) -> None:
        self.hour = hour
        self.begin = begin
        self.merge = Merge(shards, policy)


class HourMerges:
    """The hours, since 1970, of which any of the `shards` has reported, and whose snapshots are not written."""

    def __init__(self, shards: int, policy: ChartPolicy) -> None:
        self._shards = shards
        self._policy = policy
        self._found: dict[int, HourMerge] = {}

    def apply(self, hour: int, part: ReportPart, offset: int) -> None:
        """Apply a part of a report of an hour. Raises PoisonError as Merge does."""
        found = self._found.get(hour) or HourMerge(hour, offset, self._shards, self._policy)
        self._found[hour] = found
        found.merge.apply(part)

    @property
    def begin(self) -> int | None:
        """The offset from which on the reports are needed, None where none is."""
        return min((one.begin for one in self._found.values()), default=None)

    def complete(self) -> HourMerge | None:
        """The earliest hour that all shards have reported."""
        ready = [one for one in self._found.values() if one.merge.ready]
        return min(ready, key=lambda one: one.hour, default=None)

    def remove(self, hour: int) -> None:
        """The snapshots of an hour are written."""
        self._found.pop(hour, None)

    def expire(self, now_ms: int) -> None:
        """Forget hours that some shard did not report in time."""
        for hour, one in list(self._found.items()):
            if not one.merge.ready and abs(now_ms - hour * HOUR_MS) > LATE_MS:
                del self._found[hour]
