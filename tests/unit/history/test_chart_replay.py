"""A replay of a history has the charts of the rules in words, at every moment and for every policy."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.audit import chart_reference as reference
from songline.audit.chart_reference import Line, Rules
from songline.processors.history.charts import replay
from songline.processors.history.charts.hub_hours import HourSnapshot, PartitionEvents, replay_hours
from songline.processors.history.charts.replay import ChartReplay
from songline.schemas.documents import Chart
from songline.schemas.events import Payload
from songline.schemas.listening import ListenRule
from songline.schemas.moments import moment_at
from songline.schemas.policy import V1, ChartPolicy, HalfLives, Weights
from tests.support.history import HistoryEvent, batches, random_history
from tests.support.trending import KEY
from tests.unit.trending.test_pipeline import PARTITIONS, USERS, lines, payload

BEGIN_S = 1_795_000_000
HOUR_S = 3_600


def act(random: Random) -> tuple[int, Payload]:
    user = random.randrange(len(USERS))
    return user % PARTITIONS, payload(random, USERS[user])


def random_policy(random: Random) -> tuple[ChartPolicy, Rules]:
    if random.random() < 0.5:
        return V1, Rules()
    rules = Rules(
        least_ms=random.choice([0, 10_000, 30_000]),
        share_percent=random.choice([1, 50, 100]),
        listen_weight=random.choice([0, 1, 3]),
        like_weight=random.choice([0, 4, 100]),
        half_life_percent={window: random.choice([1, 50, 400]) for window in reference.WINDOWS},
        excluded=tuple(sorted(random.sample(USERS, random.choice([0, 1, 3])))),
    )
    half = rules.half_life_percent
    return (
        ChartPolicy(
            name="other",
            version=3,
            listen=ListenRule(rules.least_ms, rules.share_percent),
            weights=Weights(listen=rules.listen_weight, like=rules.like_weight),
            half_life_percent=HalfLives(five_minutes=half["5m"], hour=half["1h"], day=half["24h"], week=half["7d"]),
            excluded_listeners=rules.excluded,
        ),
        rules,
    )


def expected(history: Sequence[HistoryEvent], through_s: int, now_s: int, rules: Rules) -> dict[str, list[Line]]:
    """The charts at `now_s` of all that the hub took up to `through_s`, by the rules in words."""
    seconds = {one.position: one.second for one in history}
    prefix = [(one.partition, one.position, one.event) for one in history if one.second <= through_s]
    return reference.charts(prefix, moment_at(now_s * 1_000), seconds.__getitem__, rules)


async def replayed(
    random: Random, history: Sequence[HistoryEvent], until_s: int, policy: ChartPolicy
) -> tuple[list[HourSnapshot], dict[str, Chart]]:
    folded = ChartReplay(range(PARTITIONS), policy, KEY, keeps_chunks=random.random() < 0.7)
    read = {number: PartitionEvents(batches(random, history, number)) for number in range(PARTITIONS)}
    snapshots = [one async for one in replay_hours(folded, read, until_s)]
    return snapshots, folded.charts(until_s * 1_000)


seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("loaded_bytes", [0, replay.LOADED_BYTES_MAX])
@effort(7)
@given(seed=seeds)
def test_charts_and_snapshots_equal_the_reference(seed: int, loaded_bytes: int) -> None:
    """Also where every cell is made again from its chunks for each event that comes late."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "LOADED_BYTES_MAX", loaded_bytes)
        equal_the_reference(seed)


def equal_the_reference(seed: int) -> None:
    random = Random(seed)
    policy, rules = random_policy(random)
    history = random_history(random, BEGIN_S, random.choice([0, 1, 40, 80]), act)
    until_s = random.choice([BEGIN_S - 1, *(one.second for one in history)]) + random.choice([0, 0, 1, 3_600, 700_000])
    snapshots, charts = asyncio.run(replayed(random, history, until_s, policy))

    assert lines(charts) == expected(history, until_s, until_s, rules)
    first_hour = min((one.second for one in history), default=until_s) // HOUR_S
    by_hour = {one.hour: one.charts for one in snapshots}
    hours = range(first_hour + 1, until_s // HOUR_S + 1)
    for hour in random.sample(hours, min(len(hours), 8)):
        wanted = expected(history, hour * HOUR_S - 1, hour * HOUR_S, rules)
        assert lines(by_hour.get(hour, {})) == wanted, "an hour's first moment, over all that was taken before it"
    for hour, found in [*by_hour.items(), (until_s // HOUR_S, charts)]:
        compared = lines(by_hour.get(hour - 1, {})) if hour - 1 in hours else None
        for key, chart in found.items():
            ranks = {line.song_id: line.rank for line in (compared or {}).get(key, [])}
            assert {one.song_id: one.previous_rank for one in chart.entries if one.previous_rank} == {
                one.song_id: ranks[one.song_id] for one in chart.entries if one.song_id in ranks
            }
            assert chart.compared_with == (None if compared is None else moment_at((hour - 1) * HOUR_S * 1_000))
            assert chart.policy == policy.label


def test_a_chart_says_how_far_the_history_was_read() -> None:
    random = Random(7)
    history = random_history(random, BEGIN_S, 60, act)
    until_s = history[-1].second
    snapshots, charts = asyncio.run(replayed(random, history, until_s, V1))
    last = {str(number): -1 for number in range(PARTITIONS)} | {str(one.partition): one.position for one in history}
    assert charts
    for chart in charts.values():
        assert chart.position == last
        assert chart.as_of == chart.complete_through == moment_at(until_s * 1_000)
    for snapshot in snapshots:
        for chart in snapshot.charts.values():
            assert chart.as_of == chart.complete_through == moment_at(snapshot.hour * HOUR_S * 1_000)
