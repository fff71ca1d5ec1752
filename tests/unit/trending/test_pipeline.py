"""The fold of a log equals the rules in words, whatever crashes, comes twice, comes late or comes out of turn."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.audit import chart_reference as reference
from songline.audit.chart_reference import Line
from songline.processors.trending.merge.state import Merge
from songline.schemas.documents import Chart
from songline.schemas.envelope import Event, encode
from songline.schemas.events import (
    ListenImported,
    Payload,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUnliked,
    SongUploaded,
)
from songline.schemas.moments import milliseconds, moment_at
from tests.support.trending import Pipeline, written

NOW = datetime(2026, 11, 22, 14, 3, 30, tzinfo=UTC)
NOW_MS = milliseconds(NOW)
PARTITIONS = 3
SHARDS = 2

SONGS = [f"song-{number}" for number in range(4)]
# A listener's events are all in one partition: that of the number's remainder.
USERS = [f"user-{number}" for number in range(6)]
REGIONS = ["DE", "FR"]


def events(random: Random, count: int) -> list[tuple[int, Event]]:
    """Events of few listeners and songs, most of them near each other, so that everything meets everything again. Some
    logs are of an hour that was over long ago."""
    found = []
    late_ms = 8_000_000 if random.random() < 0.4 else 0
    for _ in range(count):
        user = random.randrange(len(USERS))
        age = random.choice([random.randint(-600_000, 600_000)] * 4 + [7_200_000, 30 * 3_600_000, 8 * 86_400_000])
        age = random.randint(min(age, 0), max(age, 0)) + late_ms
        found.append((user % PARTITIONS, event(moment_at(NOW_MS - age), payload(random, USERS[user]))))
    return found


def event(time: datetime, data: Payload) -> Event:
    return Event(id="e", source="/tests", time=time, data=data)


def payload(random: Random, user: str) -> Payload:
    song, region = random.choice(SONGS), random.choice(REGIONS)
    perhaps = random.choice([None, region])
    match random.choices(["play", "like", "unlike", "upload", "remove", "import"], [8, 4, 4, 1, 1, 1])[0]:
        case "play":
            played, length = random.choice([0, 10_000, 29_999, 30_000]), random.choice([20_000, 20_001, 200_000])
            return SongPlayed(
                user_id=user,
                song_id=song,
                played_ms=random.choice([None, played]),
                duration_ms=random.choice([None, length]),
                region=perhaps,
            )
        case "import":
            return ListenImported(
                user_id=user, song_id=song, import_id="import-1", origin="lastfm", title="One", artists=("Two",)
            )
        case "like":
            return SongLiked(user_id=user, song_id=song, region=perhaps)
        case "unlike":
            return SongUnliked(user_id=user, song_id=song, region=perhaps)
        case "upload":
            title, genre = random.choice(["One", "Two"]), random.choice([None, "rock", "jazz"])
            genres = random.choice([None, ("rock",), ("jazz", "rock"), ("rock", "pop", "jazz")])
            return SongUploaded(
                user_id=user,
                song_id=song,
                title=title,
                artist="Somebody",
                duration_ms=200_000,
                genre=genre,
                genres=genres,
            )
        case _:
            return SongRemoved(user_id=user, song_id=song)


seeds = st.integers(0, 2**32 - 1)


@effort(25)
@given(seeds)
@example(2751).via("a removed song whose counts came after a restart")
def test_charts_equal_the_reference_whatever_happens_on_the_way(seed: int) -> None:
    random = Random(seed)
    log = events(random, 90)
    pipeline = Pipeline(logs_of(log), SHARDS, NOW_MS)
    merge = Merge(SHARDS)
    pipeline.tell(merge, NOW_MS, whole=True)
    for _ in range(60):
        disturb(random, pipeline, merge)
    pipeline.finish()

    expected = reference.charts(places(log), NOW, second)
    pipeline.tell(merge, NOW_MS, whole=False)
    assert lines(written(merge)) == expected, "the merge that has listened all along"
    assert lines(pipeline.charts(NOW_MS)) == expected, "a merge that starts now"
    for shard in range(SHARDS):
        pipeline.save_shard(shard)
        pipeline.restart_shard(shard)
    assert lines(pipeline.charts(NOW_MS)) == expected, "shards that have only what was saved"


def disturb(random: Random, pipeline: Pipeline, merge: Merge) -> None:
    """One step of what may happen: work, a crash in the midst of a flush or a save, a restart, time."""
    source, shard = random.randrange(PARTITIONS), random.randrange(SHARDS)
    dies_after = random.choice([None, None, random.randrange(20)])
    match random.choices(
        [
            "read",
            "flush",
            "restart",
            "seal",
            "lose",
            "flush lost",
            "apply",
            "save",
            "restart shard",
            "image",
            "again",
            "tell",
        ],
        [8, 6, 1, 3, 1, 1, 6, 3, 1, 1, 1, 2],
    )[0]:
        case "read":
            pipeline.read(source, random.randint(1, 6))
        case "flush":
            pipeline.flush(source, dies_after)
        case "restart":
            pipeline.restart(source)
        case "seal":
            pipeline.seal(source, dies_after)
            if random.random() < 0.7:
                pipeline.index(source, random)
        case "lose":
            pipeline.change_source(source)
        case "flush lost":
            pipeline.flush_lost(source, random.randint(0, 6), random.randrange(3))
        case "apply":
            pipeline.apply(shard, random.randint(1, 6))
        case "save":
            pipeline.save_shard(shard, dies_after)
            if dies_after is not None:
                pipeline.tell(merge, NOW_MS, whole=True)
        case "restart shard":
            pipeline.restart_shard(shard)
            # A shard that has started says everything.
            pipeline.tell(merge, NOW_MS, whole=True)
        case "image":
            pipeline.image(shard, random)
        case "again":
            pipeline.deliver_again(shard, random)
        case _:
            whole = random.random() < 0.3
            pipeline.tell(merge, NOW_MS, whole=whole, scoped=whole or random.random() < 0.5)


@effort(15)
@given(seeds)
def test_windows_slide_and_changes_are_reported_one_by_one(seed: int) -> None:
    """A merge that applies only what changed ends where the reference does, at every moment on the way."""
    random = Random(seed)
    log = events(random, 60)
    pipeline = Pipeline(logs_of(log), SHARDS, NOW_MS)
    merge = Merge(SHARDS)
    pipeline.tell(merge, NOW_MS, whole=True)
    now = NOW
    read = [0] * PARTITIONS
    for _ in range(8):
        source, size = random.randrange(PARTITIONS), random.randint(1, 8)
        pipeline.read(source, size)
        read[source] += size
        pipeline.flush(source)
        for shard in range(SHARDS):
            pipeline.apply(shard, 100)
        now += random.choice([timedelta(0), timedelta(minutes=1), timedelta(minutes=7), timedelta(hours=3)])
        pipeline.tell(merge, milliseconds(now), whole=False)
        assert lines(written(merge)) == reference.charts(first(log, read), now, second)
    pipeline.finish()
    now += timedelta(hours=random.choice([0, 1, 20, 150, 200]))
    pipeline.tell(merge, milliseconds(now), whole=False)
    assert lines(written(merge)) == reference.charts(places(log), now, second)


def test_an_old_message_that_comes_again_lowers_nothing_and_adds_nothing() -> None:
    play = [SongPlayed(user_id=f"user-{n}", song_id="s", played_ms=30_000, duration_ms=1, region="DE") for n in (0, 3)]
    log = [(0, event(NOW, data)) for data in play]
    pipeline = Pipeline(logs_of(log), 1, NOW_MS)
    for _ in log:
        pipeline.read(0, 1)
        pipeline.flush(0)
    for shard_message in (0, 1, 1, 0):
        pipeline.apply_one(0, shard_message)
    assert pipeline.charts(NOW_MS)["top:1h:global"].entries[0].listens == 2


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
    for place, (partition, event) in enumerate(log):
        logs[partition].append((logged_ms(place), encode(event)))
    return logs


def logged_ms(place: int) -> int:
    """When the hub takes the event at a place of the log: several in a second."""
    return NOW_MS - 30_000 + 300 * place


def second(place: int) -> int:
    return logged_ms(place) // 1_000


def first(log: Sequence[tuple[int, Event]], read: list[int]) -> list[tuple[int, int, Event]]:
    """What is in the log before a position of each partition."""
    left = list(read)
    found = []
    for partition, offset, one in places(log):
        if left[partition] > 0:
            left[partition] -= 1
            found.append((partition, offset, one))
    return found


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
