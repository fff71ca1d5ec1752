"""What a simulation promises: reproducible, at its rate, and each dial does what it says."""

import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.audit.chart_reference import is_heard
from songline.producers.simulation.catalogue import Catalogue
from songline.producers.simulation.config import SimulationConfig, read_config
from songline.producers.simulation.simulator import Due, Simulation
from songline.schemas.acceptance import accept
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded

START = datetime(2026, 11, 22, 14, 0, 0, 123_456, tzinfo=UTC)
SONGS = 300
# Nothing that the network does, so that what listeners do can be seen.
CALM: dict[str, Any] = {"duplicates": 0.0, "late": 0.0, "disorder": 0.0}


def simulate(count: int, *, seed: int = 1, part: int = 0, parts: int = 1, **fields: Any) -> list[Due]:
    world = read_config({"songs": SONGS, "listeners": 2_000, **fields})
    return list(islice(Simulation(seed, START, world, part=part, parts=parts), count))


def plays(simulated: Sequence[Due]) -> list[SongPlayed]:
    return [event.data for _, event in simulated if isinstance(event.data, SongPlayed)]


def lines(simulated: Sequence[Due]) -> list[bytes]:
    return [encode(event) for _, event in simulated]


@effort(5)
@given(st.integers(0, 2**63), st.sampled_from([1.0, 50.0, 50_000.0]))
def test_a_seed_gives_the_same_bytes_every_time_and_all_pass_acceptance(seed: int, rate: float) -> None:
    first, second = simulate(1_000, seed=seed, rate=rate), simulate(1_000, seed=seed, rate=rate)
    assert lines(first) == lines(second)
    assert [due for due, _ in first] == [due for due, _ in second]
    for due, event in first:
        assert accept(encode(event), due).data == event.data
        assert event.time <= due


def test_another_seed_gives_other_events() -> None:
    assert not set(lines(simulate(500, seed=1))[SONGS:]) & set(lines(simulate(500, seed=2))[SONGS:])


def test_the_songs_that_are_there_are_announced_first_and_are_the_same_for_every_seed() -> None:
    first, second = simulate(SONGS, seed=1), simulate(SONGS, seed=2)
    assert {due for due, _ in first} == {START.replace(microsecond=123_000)}
    assert [event.data for _, event in first] == [event.data for _, event in second]
    assert {event.data.song_id for _, event in first} == {f"song-{number}" for number in range(SONGS)}
    assert all(isinstance(event.data, SongUploaded) and event.time < START for _, event in first)


@pytest.mark.parametrize("rate", [1, 50, 5_000, 50_000])
def test_events_come_at_the_rate(rate: float) -> None:
    simulated = simulate(SONGS + 20_000, rate=rate)[SONGS:]
    seconds = (simulated[-1][0] - simulated[0][0]).total_seconds()
    assert len(simulated) / seconds == pytest.approx(rate, rel=0.1)
    assert [due for due, _ in simulated] == sorted(due for due, _ in simulated)


def test_a_listener_hears_one_song_at_a_time() -> None:
    simulated = simulate(30_000, rate=5, listeners=5_000, bots=0, **CALM)
    ended: dict[str, datetime] = {}
    heard = 0
    for due, event in simulated:
        if isinstance(event.data, SongPlayed):
            before = ended.get(event.data.user_id)
            if before is not None:
                # A pace near 1 shortens a song by some parts in a thousand.
                assert due - before >= 0.99 * timedelta(milliseconds=event.data.played_ms or 0)
                heard += 1
            ended[event.data.user_id] = due
    assert heard > 5_000


def test_popularity_falls_by_zipf() -> None:
    flat, steep = (
        Counter(
            play.song_id for play in plays(simulate(20_000, popularity=exponent, taste=0.0, spike_share=0.0, bots=0))
        )
        for exponent in (0.0, 1.2)
    )
    assert max(flat.values()) < 3 * sum(flat.values()) / SONGS
    top = [count for _, count in steep.most_common(8)]
    assert top[0] > 8 * sum(steep.values()) / SONGS
    assert top[0] / top[7] == pytest.approx(8**1.2, rel=0.5)


def test_listeners_have_tastes() -> None:
    genres = {event.data.song_id: event.data.genre for _, event in simulate(SONGS) if hasattr(event.data, "genre")}

    def concentration(taste: float) -> float:
        by_listener: dict[str, Counter[str | None]] = defaultdict(Counter)
        for play in plays(simulate(20_000, rate=50, listeners=300, taste=taste, spike_share=0.0, bots=0)):
            by_listener[play.user_id][genres.get(play.song_id)] += 1
        shares = [max(counts.values()) / counts.total() for counts in by_listener.values() if counts.total() >= 20]
        return sum(shares) / len(shares)

    assert concentration(1.0) > concentration(0.0) + 0.2


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_skips(share: float) -> None:
    heard = plays(simulate(10_000, skips=share, bots=0))
    skipped = [play for play in heard if not is_heard(play)]
    # A song that is left early isn't a skip, but may look like one.
    assert len(skipped) / len(heard) == pytest.approx(share, abs=0.04)
    assert all((play.played_ms or 0) <= (play.duration_ms or 0) for play in heard)


def test_only_what_was_liked_is_unliked_and_nothing_is_liked_while_it_is() -> None:
    simulated = simulate(30_000, rate=5, listeners=500, likes=0.3, unlikes=0.5, bots=0, **CALM)
    liked: set[tuple[str, str]] = set()
    unlikes = 0
    for _, event in simulated:
        pair = (event.data.user_id, event.data.song_id)
        match event.data:
            case SongLiked():
                liked.add(pair)
            case SongUnliked():
                assert pair in liked
                liked.remove(pair)
                unlikes += 1
    assert len(liked) > 100
    assert unlikes > 100


def test_uploads_and_removals() -> None:
    simulated = simulate(SONGS + 20_000, uploads=0.05, removals=0.5)[SONGS:]
    uploaded = {event.data.song_id for _, event in simulated if isinstance(event.data, SongUploaded)}
    removed = {event.data.song_id for _, event in simulated if isinstance(event.data, SongRemoved)}
    assert len(uploaded) == pytest.approx(1_000, rel=0.2)
    assert len(removed) == pytest.approx(500, rel=0.25)
    assert {play.song_id for play in plays(simulated)} & uploaded


def test_songs_go_viral_and_fade() -> None:
    def highest_share(spike_share: float) -> float:
        simulated = plays(simulate(30_000, rate=50, popularity=0.0, spike_every=300, spike_share=spike_share, bots=0))
        blocks = [simulated[at : at + 2_000] for at in range(0, len(simulated), 2_000)]
        return max(Counter(play.song_id for play in block).most_common(1)[0][1] / len(block) for block in blocks)

    assert highest_share(0.0) < 0.03
    assert highest_share(0.5) > 0.2


def test_bots_play_one_song_each() -> None:
    simulated = simulate(20_000, bots=2, bot_share=0.2, **CALM)
    bots = [play for play in plays(simulated) if int(play.user_id.removeprefix("user-")) >= 2_000]
    assert len(bots) / (len(simulated) - SONGS) == pytest.approx(0.2, abs=0.03)
    assert len({(play.user_id, play.song_id) for play in bots}) == 2
    nobody = plays(simulate(5_000, bots=0, bot_share=0.2))
    assert all(int(play.user_id.removeprefix("user-")) < 2_000 for play in nobody)


def test_duplicates_are_the_same_to_the_byte() -> None:
    counts = Counter(lines(simulate(SONGS + 20_000, duplicates=0.1))[SONGS:])
    ids = Counter(msgspec.json.decode(line)["id"] for line in counts)
    assert sum(count - 1 for count in counts.values()) / counts.total() == pytest.approx(0.1 / 1.1, abs=0.01)
    assert set(ids.values()) == {1}
    assert max(Counter(lines(simulate(5_000, duplicates=0.0))).values()) == 1


def test_late_plays_are_within_seven_days_and_a_few_beyond() -> None:
    simulated = simulate(SONGS + 20_000, late=0.1, too_late=0.1, disorder=0.0, duplicates=0.0)[SONGS:]
    lateness = [due - event.time for due, event in simulated if due - event.time >= timedelta(seconds=59)]
    beyond = [late for late in lateness if late > timedelta(days=7)]
    assert len(lateness) / len(simulated) == pytest.approx(0.1, abs=0.02)
    assert len(beyond) / len(lateness) == pytest.approx(0.1, abs=0.03)
    assert max(lateness) < timedelta(days=31)
    assert sum(late < timedelta(hours=1) for late in lateness) > len(lateness) / 5


def test_disorder_lets_events_overtake_others() -> None:
    def overtaken(disorder: float) -> int:
        simulated = simulate(SONGS + 5_000, disorder=disorder, late=0.0, duplicates=0.0)[SONGS:]
        return sum(event.time < before.time for (_, before), (_, event) in pairwise(simulated))

    assert overtaken(0.0) == 0
    assert overtaken(0.2) > 300


def test_the_sun_moves_the_listening_around_the_world() -> None:
    def regions(start: datetime) -> Counter[str]:
        world = SimulationConfig(songs=50, listeners=20_000, rate=50)
        return Counter(str(play.region) for play in plays(list(islice(Simulation(3, start, world), 8_000))))

    night_in_brazil = regions(datetime(2026, 11, 22, 6, tzinfo=UTC))
    evening_in_brazil = regions(datetime(2026, 11, 22, 21, tzinfo=UTC))
    assert evening_in_brazil["BR"] > 2 * night_in_brazil["BR"]
    assert evening_in_brazil["IN"] < night_in_brazil["IN"]
    assert len(evening_in_brazil) >= 12


def test_parts_share_a_world_and_no_listener() -> None:
    parts = [simulate(3_000, part=part, parts=3, rate=300, uploads=0.02, bots=4, bot_share=0.1) for part in range(3)]
    listeners = [{play.user_id for play in plays(part)} for part in parts]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not listeners[one] & listeners[other]
    assert not any(isinstance(event.data, SongUploaded) for part in parts[1:] for _, event in part)
    assert all(part[-1][0] - START > timedelta(seconds=20) for part in parts)
    world = simulate(4_000, part=0, parts=3, rate=300, uploads=0.02)
    uploaded = {event.data.song_id for _, event in world if isinstance(event.data, SongUploaded)}
    assert {play.song_id for play in plays(parts[1])} <= uploaded


@pytest.mark.parametrize("fields", [{"listeners": 1}, {"songs": 1, "removals": 1.0, "uploads": 0.1}, {"rate": 0.01}])
def test_small_worlds_go_on(fields: dict[str, Any]) -> None:
    simulated = simulate(2_000, **fields)
    assert len(simulated) == 2_000
    for due, event in simulated:
        accept(encode(event), due)


def test_by_real_pacing_each_listener_acts_every_three_minutes() -> None:
    world = {"pacing": "real", "listeners": 1_800, "bots": 0, "uploads": 0.0, **CALM}
    simulated = simulate(SONGS + 18_000, **world)[SONGS:]
    seconds = (simulated[-1][0] - simulated[0][0]).total_seconds()
    assert seconds == pytest.approx(10 * 180, rel=0.05)
    each = Counter(event.partition_key for _, event in simulated)
    assert len(each) == 1_800
    assert max(each.values()) < 60
    # The pace is that of the first minute, too: nobody waits for a song to end that began at the start.
    minute = [event for due, event in simulated if due - simulated[0][0] < timedelta(minutes=1)]
    assert len(minute) == pytest.approx(600, rel=0.2)
    halves = [simulate(SONGS + 9_000, part=part, parts=2, **world)[-1][0] - START for part in (0, 1)]
    assert [half.total_seconds() for half in halves] == pytest.approx([1_800, 1_800], rel=0.1)


@pytest.mark.parametrize("pacing", ["rate", "real"])
def test_a_listener_takes_few_bytes(pacing: str) -> None:
    """All that a simulation keeps of a listener: it has no object for each."""
    config = read_config({"songs": 10, "listeners": 100_000, "rate": 5_000.0, "pacing": pacing})
    tracemalloc.start()
    try:
        simulation = Simulation(1, START, config)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(simulation, Simulation)
    assert kept / config.listeners < 150
    assert peak / config.listeners < 250


def test_a_song_takes_few_bytes() -> None:
    """Songs are announced for as long as a simulation runs, five a second at 5,000 events/s."""
    random = np.random.default_rng(1)
    catalogue = Catalogue(10, 0.9, random)
    tracemalloc.start()
    try:
        for _ in range(1_000):
            catalogue.announce(random)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(catalogue) == 1_010
    assert kept / 1_000 < 30


def test_wrong_fields_are_named() -> None:
    with pytest.raises(ValueError, match="skips: expected a number, at most"):
        read_config({"skips": 1.5})
    with pytest.raises(ValueError, match="bot_share and uploads"):
        simulate(1, bot_share=0.6, uploads=0.6)
    with pytest.raises(ValueError, match="listeners: saw 2"):
        simulate(1, listeners=2, parts=3)
    with pytest.raises(ValueError, match="start"):
        Simulation(1, datetime(1999, 1, 1, tzinfo=UTC), SimulationConfig())


def test_order_of_ids_is_the_order_of_times() -> None:
    events: list[Event] = sorted((event for _, event in simulate(5_000)), key=lambda event: event.time)
    stamps = [event.id[:13] for event in events]
    assert stamps == sorted(stamps)
