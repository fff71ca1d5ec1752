"""The charts as of a moment: the fold of all that the hub had taken by then.

A chart shows a week, and is compared with the one of the hour before. An event may be dated an hour ahead. So read is
what the hub took from 170 hours before the moment on, late events among it; and of what is older the uploads and
removals, which say what songs are called.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec import structs

from songline.processors.history.as_of.answers import PastCharts
from songline.processors.history.as_of.errors import MomentError, NoHistoryError
from songline.processors.history.as_of.readable import EventsRead, FileSpan, ReadableHistory
from songline.processors.history.as_of.song_events import SongEventStore
from songline.processors.history.charts.hub_hours import HOUR_S, PartitionEvents, replay_hours
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.spans import WEEK_HOURS
from songline.schemas.documents import GLOBAL, chart_key
from songline.schemas.moments import moment_at
from songline.schemas.policy import ChartPolicy

HOURS_READ = WEEK_HOURS + 1
"""Full hours before that of the moment: the week before the hour before it, and one hour by which events are ahead."""


async def charts_as_of(
    history: ReadableHistory, song_events: SongEventStore, second: int, policy: ChartPolicy, key: IdentityKey
) -> PastCharts:
    """The charts of all that the hub had taken by the Unix second `second`.

    Raises NoHistoryError, MomentError, and what reading the history raises.
    """
    spans = {partition: await history.spans(partition) for partition in await history.partitions()}
    first_s = await first_second(history, spans)
    check_moment(second, first_s)
    begin_s = (second // HOUR_S - HOURS_READ) * HOUR_S
    replay = ChartReplay([int(one) for one in spans], policy, key, first_hour=first_s // HOUR_S)
    partitions = {}
    for partition, files in spans.items():
        start = _start(files, begin_s)
        if known := [(file.path, file.etag) for file in files if file.last <= start]:
            older = await song_events.read(history, partition, known, files[0].first, start)
            replay.apply(int(partition), older.positions, older.enqueued_s, older.bodies)
            replay.pass_over(int(partition), start)
        partitions[int(partition)] = PartitionEvents(_read(history, partition, start, second))
    hour_before = second // HOUR_S - 1
    async for _ in replay_hours(replay, partitions, second, hour_before):
        pass
    empty = replay.empty_chart(chart_key("top", "1h", GLOBAL), second * 1_000)
    return PastCharts(replay.charts(second * 1_000), structs.replace(empty, entries=[]), replay.events)


async def first_second(history: ReadableHistory, spans: dict[str, Sequence[FileSpan]]) -> int:
    """The Unix second of the first event of a history. Raises NoHistoryError, and what reading the history raises."""
    found = []
    for partition, files in spans.items():
        if files:
            found.append(min(file.first_s for file in files))
            continue
        async with aclosing(history.read(partition)) as batches:
            async for batch in batches:
                found.append(batch.enqueued_s[0])
                break
    if not found:
        raise NoHistoryError(
            "the archive has no events, and the hub has none: turn Capture on for the hub music-events"
        )
    return min(found)


def check_moment(second: int, first_s: int) -> None:
    """Raise MomentError for a second before that of the history's first event."""
    if second < first_s:
        begin = moment_at(first_s * 1_000).isoformat().replace("+00:00", "Z")
        raise MomentError(f"the history begins at {begin}; nothing is known of moments before")


def _start(files: Sequence[FileSpan], begin_s: int) -> int:
    """The position after which everything is that was taken from `begin_s` on: that before the first file with such."""
    start = files[0].first - 1 if files else -1
    for file in files:
        if file.last_s >= begin_s:
            break
        start = max(start, file.last)
    return start


async def _read(history: ReadableHistory, partition: str, after: int, second: int) -> AsyncGenerator[EventsRead, None]:
    async with aclosing(history.read(partition, after, second + 1)) as found:
        async for batch in found:
            yield batch
