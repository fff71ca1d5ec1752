"""A library as of a moment is the fold of what the listener had done of all that the hub had taken by then."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given

from localcloud_tests.support.fuzzing import effort
from songline.processors.history.archive.spans import MomentError
from songline.processors.history.as_of.library import FindHistory, library_as_of
from songline.processors.history.index.archive_index import ListenerEvent, ListenerHistory
from songline.processors.library.actions import parse_actions
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import Event, encode
from songline.schemas.events import SongPlayed
from songline.schemas.library.fold import FoldedLibrary, fold_actions
from songline.schemas.name_matches import NO_MATCHES, MatchStatement, NameMatches, no_match, with_statement
from tests.support.history import HistoryEvent, HistoryInFiles, random_history
from tests.unit.history.test_chart_replay import BEGIN_S, act, seeds
from tests.unit.trending.test_pipeline import PARTITIONS, USERS


def prefix_library(history: Sequence[HistoryEvent], user_id: str, second: int) -> FoldedLibrary:
    """The listener's library of all that the hub had taken by a second: the fold of the prefix, event by event."""
    actions = []
    for one in history:
        if one.second <= second and one.event.data.user_id == user_id:
            body = encode(one.event)
            enqueued = datetime.fromtimestamp(one.second, UTC)
            actions += parse_actions(one.partition, [HubRecord(one.position, enqueued, body)]).actions
    return fold_actions(actions)


def found_in(history: Sequence[HistoryEvent]) -> FindHistory:
    """What finds a listener's history in all that there is, by reading it."""

    async def find(user_id: str, until_s: int) -> ListenerHistory:
        before = [one for one in sorted(history, key=lambda one: (one.partition, one.position)) if one.second < until_s]
        events = [
            ListenerEvent(str(one.partition), one.position, one.second, encode(one.event))
            for one in before
            if one.event.data.user_id == user_id
        ]
        positions = dict.fromkeys(map(str, range(PARTITIONS)), -1)
        return ListenerHistory(events, positions | {str(one.partition): one.position for one in before})

    return find


@effort(20)
@given(seeds)
def test_as_of_equals_the_fold_of_the_prefix(seed: int) -> None:
    random = Random(seed)
    history = random_history(random, BEGIN_S, random.choice([1, 30, 90]), act)
    if not history:
        return
    second = random.choice(history).second + random.choice([0, 0, 1, 3_600])
    user = random.choice([*USERS, "nobody"])
    files = HistoryInFiles(random, history, PARTITIONS, late=random.choice([0, 0, 3, 30]))
    found = asyncio.run(library_as_of(files, found_in(history), NO_MATCHES, user, second))
    assert found.library == prefix_library(history, user, second)
    assert found.position == {str(number): -1 for number in range(PARTITIONS)} | {
        str(one.partition): one.position for one in history if one.second <= second
    }


def test_what_was_said_of_names_by_the_moment_counts() -> None:
    play, moment = SongPlayed(user_id="u", song_id="name:x"), datetime.fromtimestamp(BEGIN_S, UTC)
    events = [
        HistoryEvent(0, number, BEGIN_S + 100 * number, Event(id=f"e-{number}", source="/s", time=moment, data=play))
        for number in range(3)
    ]
    said = MatchStatement(said_s=BEGIN_S + 150, partition=0, position=9, from_s=BEGIN_S + 155, song_id="song-1")
    matches = NameMatches({"name:x": with_statement(no_match("name:x"), said)})
    files = HistoryInFiles(Random(1), events, PARTITIONS)

    def songs(second: int) -> set[str]:
        found = asyncio.run(library_as_of(files, found_in(events), matches.as_of(second), "u", second))
        return {one.song_id for one in found.library.songs}

    assert (songs(BEGIN_S + 120), songs(BEGIN_S + 250)) == ({"name:x"}, {"song-1"})


def test_a_moment_before_the_history_is_refused() -> None:
    history = random_history(Random(1), BEGIN_S, 5, act)
    files = HistoryInFiles(Random(1), history, PARTITIONS)
    with pytest.raises(MomentError, match="the history begins at"):
        asyncio.run(library_as_of(files, found_in(history), NO_MATCHES, "user-1", history[0].second - 1))


def test_the_process_that_folds_a_library_starts_without_what_only_charts_need() -> None:
    """Numpy, the trending worker's code and Kafka's SDK take half a second to import."""
    code = (
        "import sys; import songline.processors.history.as_of.process; "
        "print(*(name for name in sys.modules if name in ('aiokafka', 'duckdb', 'numpy', 'pyarrow') "
        "or name.startswith(('songline.processors.trending', 'songline.processors.history.charts'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
