"""The charts as of a moment: the fold of all that the hub had taken by then.

A chart shows a week, and is compared with the one of the hour before. An event may be dated an hour ahead. So read is
what the hub took from 170 hours before the moment on, late events among it; and of what is older the uploads and
removals, which say what songs are called.
"""

from songline.processors.history.archive.readable import ReadableHistory
from songline.processors.history.archive.spans import check_moment, first_second, read_spans
from songline.processors.history.as_of.answers import PastCharts
from songline.processors.history.charts.beginning import begin_replay, events_after
from songline.processors.history.charts.hub_hours import HOUR_S, replay_hours
from songline.processors.history.charts.song_events import SongEventStore
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.spans import WEEK_HOURS
from songline.schemas.documents import GLOBAL, chart_key
from songline.schemas.policy import ChartPolicy

HOURS_READ = WEEK_HOURS + 1
"""Full hours before that of the moment: the week before the hour before it, and one hour by which events are ahead."""


async def charts_as_of(
    history: ReadableHistory, song_events: SongEventStore, second: int, policy: ChartPolicy, key: IdentityKey
) -> PastCharts:
    """The charts of all that the hub had taken by the Unix second `second`.

    Raises NoHistoryError, MomentError, and what reading the history raises.
    """
    check_moment(second, await first_second(history, await read_spans(history)))
    hour = second // HOUR_S
    begun = await begin_replay(history, song_events, (hour - HOURS_READ) * HOUR_S, policy, key)
    replay = begun.replay
    async with events_after(history, begun.starts, second) as events:
        async for _ in replay_hours(replay, events, second, hour - 1):
            pass
    empty = replay.empty_chart(chart_key("top", "1h", GLOBAL), second * 1_000)
    return PastCharts(replay.charts(second * 1_000), empty, replay.events)
