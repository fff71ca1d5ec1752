"""Where the files of a history are, where it begins, and which moments it has."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing

from songline.processors.history.archive.errors import TURN_ON
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.archive.readable import FileSpan, FirstEvent, ReadableHistory
from songline.schemas.moments import moment_at
from songline.schemas.progress import split_position


class NoHistoryError(Exception):
    """There is no archive, or nothing in it; the message is a sentence with what to do."""


class MomentError(ValueError):
    """The history has no such moment: it begins at `begin`. `rule`: which moments it has."""

    def __init__(self, begin: str) -> None:
        super().__init__(f"the history begins at {begin}; nothing is known of moments before")
        self.rule = f"a moment from {begin} on, with which the history begins"


def check_moment(second: int, first_s: int) -> None:
    """Raise MomentError for a second before that of the history's first event."""
    if second < first_s:
        begin = moment_at(first_s * 1_000).isoformat().replace("+00:00", "Z")
        raise MomentError(begin)


class SpannedHistory:
    """A HubHistory that says where its files are."""

    def __init__(self, history: HubHistory) -> None:
        self._history = history
        self.read = history.read
        self.partitions = history.partitions

    async def spans(self, partition: str) -> Sequence[FileSpan]:
        """The files of a partition that have events, by their first position."""
        return [
            FileSpan(one.file.path, one.file.etag, one.first, one.last, one.range.first_s, one.range.last_s)
            for one in await self._history.placed(partition)
            if one.range is not None
        ]

    async def first_event(self, partition: str) -> FirstEvent | None:
        """The first event that the archive or the hub has: what is missing before it is for a reading to report."""
        async with aclosing(self._history.passing_over().read(partition)) as batches:
            async for batch in batches:
                return FirstEvent(batch.positions[0], batch.enqueued_s[0])
        return None


async def read_spans(history: ReadableHistory) -> dict[str, Sequence[FileSpan]]:
    """The files of all partitions."""
    return {partition: await history.spans(partition) for partition in await history.partitions()}


async def first_events(history: ReadableHistory, spans: Mapping[str, Sequence[FileSpan]]) -> dict[str, FirstEvent]:
    """The first event that there still is, of each partition that has any. An archive may begin later than its hub.

    Raises NoHistoryError, and what reading the history raises."""
    found = {}
    for partition, files in spans.items():
        if files and split_position(files[0].first)[1] == 0:
            found[partition] = FirstEvent(files[0].first, min(file.first_s for file in files))
        elif (first := await history.first_event(partition)) is not None:
            found[partition] = first
    if not found:
        raise NoHistoryError(f"the archive has no events, and the hub has none; to keep those to come, {TURN_ON}")
    return found


async def first_second(history: ReadableHistory, spans: Mapping[str, Sequence[FileSpan]]) -> int:
    """The Unix second of the first event of a history. Raises what `first_events` raises."""
    return min(first.second for first in (await first_events(history, spans)).values())
