"""Where a replay begins: at the history's first event, or later, with what older events say of songs."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from msgspec import Struct

from songline.processors.history.archive.readable import FileSpan, FirstEvent, ReadableHistory
from songline.processors.history.archive.spans import first_events, read_spans
from songline.processors.history.charts.hub_hours import HOUR_S, PartitionEvents
from songline.processors.history.charts.replay import ChartReplay
from songline.processors.history.charts.saved_replay import SavedReplay
from songline.processors.history.charts.song_events import SongEventStore
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.schemas.policy import ChartPolicy


class BegunReplay(Struct, frozen=True):
    """A replay, and by partition the position after which it goes on."""

    replay: ChartReplay
    starts: Mapping[int, int]


async def begin_replay(
    history: ReadableHistory,
    song_events: SongEventStore,
    begin_s: int,
    policy: ChartPolicy,
    key: IdentityKey,
    owner: str = "",
) -> BegunReplay:
    """A replay to which everything is to be applied that the hub took from the second `begin_s` on, and more where that
    is in the same files. With an `owner`, the replay can be handed over.

    Raises NoHistoryError, and what reading the history raises."""
    spans = await read_spans(history)
    firsts = await first_events(history, spans)
    hour = min(first.second for first in firsts.values()) // HOUR_S
    replay = ChartReplay([int(one) for one in spans], policy, key, hour, owner, keeps_chunks=bool(owner))
    starts = {}
    for partition, files in spans.items():
        first = firsts.get(partition)
        start = _start(first, files, begin_s)
        if known := [(file.path, file.etag) for file in files if file.last <= start]:
            if first is not None and first.position < files[0].first:
                # Kept nowhere else: an erasure looks for it in the hub alone.
                early = await SongEventStore(None).read(history, partition, (), first.position, files[0].first - 1)
                replay.apply(int(partition), early.positions, early.enqueued_s, early.bodies)
            older = await song_events.read(history, partition, known, files[0].first, start)
            replay.apply(int(partition), older.positions, older.enqueued_s, older.bodies)
            replay.pass_over(int(partition), start)
        starts[int(partition)] = start
    return BegunReplay(replay, starts)


async def resume_replay(
    history: ReadableHistory, saved: SavedReplay, policy: ChartPolicy, key: IdentityKey, owner: str
) -> ChartReplay:
    """The replay that was saved. Raises what reading the history raises."""
    partitions = {*map(int, await history.partitions()), *saved.state.positions}
    replay = ChartReplay(sorted(partitions), policy, key, saved.state.first_hour, owner, keeps_chunks=True)
    replay.restore(saved)
    return replay


@asynccontextmanager
async def events_after(
    history: ReadableHistory, positions: Mapping[int, int], second: int
) -> AsyncIterator[dict[int, PartitionEvents]]:
    """Of each partition the events after its position, up to those of `second`. Reading ends with the context, also of
    the partitions beside one that can't be read."""
    async with AsyncExitStack() as stack:
        yield {
            number: PartitionEvents(
                await stack.enter_async_context(aclosing(history.read(str(number), after, second + 1)))
            )
            for number, after in positions.items()
        }


def _start(first: FirstEvent | None, files: Sequence[FileSpan], begin_s: int) -> int:
    """The position after which everything is that was taken from `begin_s` on: that before the first file with such.
    What is missing before the `first` event is of no matter where this is of an earlier second."""
    start = first.position - 1 if first is not None and first.second < begin_s else -1
    for file in files:
        if file.last_s >= begin_s:
            break
        start = max(start, file.last)
    return start
