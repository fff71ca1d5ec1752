"""One reading of a partition, from which the events of one day after another are taken."""

from collections.abc import AsyncGenerator, AsyncIterator

from songline.processors.history.archive.history import ArchivedBatch, count_before


class DayReading:
    """The events that `batches` has, up to moments that rise.

    A day ends with the first event of a later one: what a clock of the hub that goes back puts behind it is of the
    later day, so that each event is of one day.
    """

    def __init__(self, batches: AsyncIterator[ArchivedBatch]) -> None:
        self._batches = batches
        self._rest: ArchivedBatch | None = None

    async def before(self, until_s: int) -> AsyncGenerator[ArchivedBatch, None]:
        """What comes next, up to the first event that the hub took at the Unix second `until_s` or later. Raises what
        `batches` raises."""
        while (batch := self._rest or await anext(self._batches, None)) is not None:
            stop = count_before(batch.enqueued_s, until_s)
            self._rest = batch.cut(stop) if stop < len(batch.positions) else None
            if stop:
                yield batch.cut(0, stop)
            if self._rest is not None:
                return
