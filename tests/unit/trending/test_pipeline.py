"""The fold of a log equals the rules in words, whatever crashes, comes twice, comes late or comes out of turn."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.trending.merge import Merge
from processors.trending.policy import milliseconds, moment
from schemas.documents import Chart
from schemas.envelope import Event, encode
from schemas.events import Payload, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded
from tests.support import reference
from tests.support.reference import Line
from tests.support.trending import Pipeline, written

NOW = datetime(2026, 11, 22, 14, 3, 30, tzinfo=UTC)
NOW_MS = milliseconds(NOW)
PARTITIONS = 3
SHARDS = 2

SONGS = [f"song-{number}" for number in range(7)]
# A listener's events are all in one partition: that of the number's remainder.
USERS = [f"user-{number}" for number in range(6)]

ages = st.one_of(
    st.integers(-600_000, 600_000),
    st.integers(0, 2 * 3_600_000),
    st.integers(0, 30 * 3_600_000),
    st.integers(0, 8 * 24 * 3_600_000),
)
regions = st.sampled_from(["DE", "FR", "US"])


def payloads(user: str) -> st.SearchStrategy[Payload]:
    song = st.sampled_from(SONGS)
    return st.one_of(
        st.builds(
            SongPlayed,
            user_id=st.just(user),
            song_id=song,
            played_ms=st.sampled_from([0, 29_999, 30_000, 10_000]),
            duration_ms=st.sampled_from([20_000, 20_001, 200_000]),
            region=regions,
        ),
        st.builds(SongLiked, user_id=st.just(user), song_id=song, region=st.none() | regions),
        st.builds(SongUnliked, user_id=st.just(user), song_id=song, region=st.none() | regions),
        st.builds(
            SongUploaded,
            user_id=st.just(user),
            song_id=song,
            title=st.sampled_from(["One", "Two"]),
            artist=st.just("Somebody"),
            duration_ms=st.just(200_000),
            genre=st.none() | st.sampled_from(["rock", "jazz"]),
        ),
        st.builds(SongRemoved, user_id=st.just(user), song_id=song),
    )


@st.composite
def events(draw: st.DrawFn) -> tuple[int, Event]:
    user = draw(st.integers(0, len(USERS) - 1))
    time = moment(NOW_MS - draw(ages))
    event = Event(id="e", source="/tests", time=time, data=draw(payloads(USERS[user])))
    return user % PARTITIONS, event


number = st.integers(0, PARTITIONS - 1)
shard = st.integers(0, SHARDS - 1)
some = st.integers(1, 8)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), number, some),
        st.tuples(st.just("flush"), number, st.none()),
        st.tuples(st.just("flush"), number, st.integers(0, 20)),
        st.tuples(st.just("restart"), number, st.none()),
        st.tuples(st.just("apply"), shard, some),
        st.tuples(st.just("save_shard"), shard, st.none()),
        st.tuples(st.just("save_shard"), shard, st.integers(0, 20)),
        st.tuples(st.just("restart_shard"), shard, st.none()),
        st.tuples(st.just("advance"), st.integers(-7_200_000, 0), st.none()),
        st.tuples(st.just("tell"), st.booleans(), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(log=st.lists(events(), max_size=40), steps=steps)
def test_charts_equal_the_reference_whatever_happens_on_the_way(
    log: list[tuple[int, Event]], steps: list[tuple[str, Any, Any]]
) -> None:
    pipeline = Pipeline(logs_of(log), SHARDS, NOW_MS)
    merge = Merge(SHARDS)
    pipeline.tell(merge, NOW_MS, whole=True)
    for step, subject, argument in steps:
        match step:
            case "read":
                pipeline.read(subject, argument)
            case "flush":
                pipeline.flush(subject, argument)
            case "restart":
                pipeline.restart(subject)
            case "apply":
                pipeline.apply(subject, argument)
            case "save_shard":
                pipeline.save_shard(subject, argument)
                if argument is not None:
                    pipeline.tell(merge, NOW_MS, whole=True)
            case "restart_shard":
                pipeline.restart_shard(subject)
                # A shard that has started says everything.
                pipeline.tell(merge, NOW_MS, whole=True)
            case "advance":
                pipeline.advance(NOW_MS + subject)
            case "tell":
                pipeline.tell(merge, NOW_MS, whole=subject)
    pipeline.finish()

    expected = reference.charts(places(log), NOW)
    pipeline.tell(merge, NOW_MS, whole=False)
    assert lines(written(merge)) == expected, "the merge that has listened all along"
    assert lines(pipeline.charts(NOW_MS)) == expected, "a merge that starts now"


@settings(max_examples=100, deadline=None)
@given(
    log=st.lists(events(), max_size=40),
    minutes=st.lists(st.integers(0, 40), max_size=4),
    tail=st.integers(0, 200),
    reads=st.lists(st.tuples(number, some, st.booleans()), max_size=10),
)
def test_windows_slide_and_changes_are_told_one_by_one(
    log: list[tuple[int, Event]], minutes: list[int], tail: int, reads: list[tuple[int, int, bool]]
) -> None:
    """A merge that hears only what changed ends where one ends that hears everything."""
    pipeline = Pipeline(logs_of(log), SHARDS, NOW_MS)
    merge = Merge(SHARDS)
    pipeline.tell(merge, NOW_MS, whole=True)
    now = NOW
    for place, (source, count, slide) in enumerate(reads):
        pipeline.read(source, count)
        pipeline.flush(source)
        for one in range(SHARDS):
            pipeline.apply(one, 100)
        if slide and place < len(minutes):
            now += timedelta(minutes=minutes[place])
        pipeline.tell(merge, milliseconds(now), whole=False)
    pipeline.finish()
    now += timedelta(hours=tail)
    pipeline.tell(merge, milliseconds(now), whole=False)
    assert lines(written(merge)) == reference.charts(places(log), now)


def test_position_and_freshness_are_those_of_the_partition_that_is_furthest_behind() -> None:
    play = SongPlayed(user_id="user-0", song_id="song-0", played_ms=30_000, duration_ms=60_000, region="DE")
    log = [(0, Event(id="e", source="/tests", time=NOW, data=play)) for _ in range(3)]
    log += [(1, Event(id="e", source="/tests", time=NOW, data=play)) for _ in range(2)]
    pipeline = Pipeline(logs_of(log), SHARDS, NOW_MS)
    pipeline.finish()
    (chart, *_) = pipeline.charts(NOW_MS).values()
    assert chart.position == {"0": 2, "1": 1, "2": -1}
    assert chart.complete_through is None, "nothing is known of partition 2"
    assert chart.as_of == NOW


def logs_of(log: Sequence[tuple[int, Event]]) -> list[list[tuple[int, bytes]]]:
    logs: list[list[tuple[int, bytes]]] = [[] for _ in range(PARTITIONS)]
    for partition, event in log:
        logs[partition].append((NOW_MS, encode(event)))
    return logs


def places(log: Sequence[tuple[int, Event]]) -> list[tuple[int, int, Event]]:
    return [(partition, offset, event) for offset, (partition, event) in enumerate(log)]


def lines(charts: dict[str, Chart]) -> dict[str, list[Line]]:
    return {
        key: [
            Line(one.rank, one.song_id, one.title, one.artist, one.genre, one.listens, one.likes, one.score)
            for one in chart.entries
        ]
        for key, chart in charts.items()
    }
