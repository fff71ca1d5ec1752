"""Where the events of a source partition are cut: at the first moment of an hour, so that what is sent up to there are
the counts of all that the hub had taken before it."""

from collections.abc import Iterator

from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.spans import HOUR_MS, MINUTE_MS

MOST_WAITING = 20_000
"""Events that wait behind a cut: with more of them the worker has better to do than to meet the moment."""


class HourCut:
    """The next hour's first moment in a partition, and the batches behind it, which wait for a flush.

    `hour` counts hours since 1970, None before the first one is known. It is never the hour of an event that an owner
    before may have counted: the first one begins a minute or more after the partition was opened. `count` events wait.
    """

    def __init__(self) -> None:
        self.hour: int | None = None
        self._passed_ms = -1
        """The latest moment of an event that waits for no flush."""
        self._waiting: list[Batch] = []
        self.count = 0

    @property
    def waits(self) -> bool:
        """Whether anything waits behind the cut."""
        return bool(self._waiting)

    def advance(self, now_ms: int) -> Iterator[Batch]:
        """Choose the hour at a moment, and yield what waits where the hour before was missed by a minute. Where a clock
        was set back since, it may be an earlier one."""
        if self.hour is not None and not self._waiting:
            self.hour = min(self.hour, self._next(now_ms))
        if self.hour is None or now_ms >= self.hour * HOUR_MS + MINUTE_MS or self.count > MOST_WAITING:
            yield from self.pass_on(now_ms)

    def pass_on(self, now_ms: int) -> Iterator[Batch]:
        """Be done with the hour: choose the next one, and yield what waits."""
        self.hour = max(self._next(now_ms), (self.hour or 0) + 1)
        waiting, self._waiting, self.count = self._waiting, [], 0
        for batch in waiting:
            self._passed_ms = max(self._passed_ms, _latest_ms(batch))
            yield batch

    def before(self, batch: Batch) -> Batch | None:
        """The part of the next batch that is before the cut; the rest waits. None: all of it does."""
        if self.hour is None:
            return batch
        cut_ms, latest_ms = self.hour * HOUR_MS, _latest_ms(batch)
        if not (self._waiting or latest_ms >= cut_ms):
            self._passed_ms = max(self._passed_ms, latest_ms)
            return batch
        end = 0 if self._waiting else next(at for at, ms in enumerate(batch.logged_ms) if ms >= cut_ms)
        rest = batch.part(end, len(batch.offsets)) if end else batch
        self._waiting.append(rest)
        self.count += len(rest.offsets)
        if not end:
            return None
        self._passed_ms = max(self._passed_ms, cut_ms - 1)
        return batch.part(0, end)

    def _next(self, now_ms: int) -> int:
        """The first hour that may be met, as of a moment."""
        return max((now_ms + MINUTE_MS) // HOUR_MS, self._passed_ms // HOUR_MS) + 1


def _latest_ms(batch: Batch) -> int:
    return max(batch.logged_ms, default=-1)
