"""Batches of rows become events and counts: the counts add up, and the order of files changes nothing."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from localcloud_tests.support.fuzzing import effort
from songline.processors.imports.import_batch import imported_batch, worded, words_of
from songline.processors.imports.import_tally import ImportTally
from songline.processors.imports.known_listens import KnownListens, packed
from songline.processors.imports.rows import HistoryListen, HistoryRow, SkippedRow
from songline.processors.library.actions import parse_actions
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import Event, encode
from songline.schemas.library.fold import FoldedLibrary, fold_actions
from songline.schemas.resolver import SongCandidate, SongMatch, resolve

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
BEGAN_MS = 1_616_432_100_000
SONG = SongCandidate(song_id="song-1", title="One", artists=("A",))

listens = st.builds(
    HistoryListen,
    st.integers(0, 90).map(lambda second: BEGAN_MS + second * 1_000),
    st.sampled_from(["spotify", "lastfm"]),
    st.sampled_from(["One", "Two"]),
    st.sampled_from([("A",), ("B", "A")]),
    played_ms=st.none() | st.just(60_000),
)
rows = st.lists(
    listens | st.builds(SkippedRow, st.sampled_from(["podcast", "no-words"]), st.just("row 1")), max_size=15
)


def match(row: HistoryListen) -> SongMatch:
    return resolve(words_of(row), [SONG], {})


class Imports:
    """A listener's imports, one after the other, without services."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._pages: dict[str, list[str]] = {}

    def take(self, import_id: str, file: list[HistoryRow]) -> ImportTally:
        known, tally = KnownListens(), ImportTally()
        for owner, pages in self._pages.items():
            for page in pages:
                known.add_page(page, is_own=owner == import_id, is_this_run=False)
        for start in range(0, len(file), 4):
            batch = imported_batch("u", import_id, "x", file[start : start + 4], match, known, tally, NOW)
            self.events += batch.events
            self._pages.setdefault(import_id, []).append(packed(batch.taken))
        return tally

    @property
    def library(self) -> FoldedLibrary:
        records = [HubRecord(number, NOW, encode(event)) for number, event in enumerate(self.events)]
        return fold_actions(parse_actions(0, records).actions)


@effort(60)
@given(first=rows, second=rows)
def test_twice_is_once_and_any_order_is_any_other(first: list[HistoryRow], second: list[HistoryRow]) -> None:
    files = {"a": first, "b": second}
    forth, back, twice = Imports(), Imports(), Imports()
    for imports, order in ((forth, "ab"), (back, "ba"), (twice, "abab")):
        for name in order:
            counts = imports.take(name, files[name]).counts
            assert counts.read == len(files[name]) == sum(counts.formats.values())
            assert counts.read == counts.taken + counts.known + sum(counts.skipped.values())
            assert counts.taken == counts.matched + counts.by_name
    assert forth.library == back.library
    assert twice.events == forth.events


def test_what_is_of_the_future_is_skipped() -> None:
    ahead_ms = int((NOW + timedelta(hours=2)).timestamp() * 1_000)
    tally = ImportTally()
    row = HistoryListen(ahead_ms, "lastfm", "One", ("A",))
    assert not imported_batch("u", "i", "x", [row], match, KnownListens(), tally, NOW).events
    assert tally.counts.skipped == {"in-future": 1}


def test_a_row_without_words_gets_those_of_its_song() -> None:
    row = HistoryListen(BEGAN_MS, "songline", "", (), played_ms=1, song_id="song-1")
    assert (worded(row, {"song-1": SONG}).title, worded(row, {}).title) == ("One", "song-1")
    assert worded(row, {}).artists == ("Unknown artist",)
