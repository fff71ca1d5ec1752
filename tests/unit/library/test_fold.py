"""Acts to libraries: what counts, and that neither portions, repetition nor interleaving change what comes of it."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.processors.library.actions import ListenerAction, event_mark, parse_actions
from songline.processors.library.fold import MAX_SONGS, SEEN, apply_actions, transaction_size
from songline.processors.library.library_store import operations
from songline.processors.runtime.hub_record import HubRecord
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
from songline.schemas.library.listener_documents import RECENT, EntryDocument, Listen, SummaryDocument
from tests.support.library_reference import Place, Shelf, libraries, shelf_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
USER = "user-7"


def played(song_id: str = "song-1", played_ms: int = 31_000, duration_ms: int = 200_000) -> SongPlayed:
    return SongPlayed(user_id=USER, song_id=song_id, played_ms=played_ms, duration_ms=duration_ms, region="DE")


def scrobbled(song_id: str = "song-1", played_ms: int | None = None, duration_ms: int | None = None) -> SongPlayed:
    return SongPlayed(user_id=USER, song_id=song_id, played_ms=played_ms, duration_ms=duration_ms)


def imported(song_id: str = "song-1", played_ms: int | None = None) -> ListenImported:
    return ListenImported(
        user_id=USER,
        song_id=song_id,
        import_id="import-1",
        origin="spotify",
        title="One",
        artists=("Two",),
        played_ms=played_ms,
    )


def event(data: Payload, event_id: str, at: datetime = NOON) -> Event:
    return Event(id=event_id, source="/tests", time=at, data=data)


def record(position: int, body: Event | bytes, logged: datetime | None = NOON) -> HubRecord:
    return HubRecord(position, logged, body if isinstance(body, bytes) else encode(body))


class Library:
    """A listener's documents, which acts of any partition are applied to; starts anew as often as you like."""

    def __init__(self) -> None:
        self.summary: SummaryDocument | None = None
        self.entries: dict[str, EntryDocument | None] = {}

    def apply(self, partition: int, acts: list[ListenerAction]) -> None:
        known = dict.fromkeys(act.song_id for act in acts) | self.entries
        change = apply_actions(USER, self.summary, known, str(partition), acts)
        if change is not None:
            # What is written is what is read again.
            self.summary = msgspec.convert(msgspec.to_builtins(change.summary), SummaryDocument)
            self.entries |= msgspec.convert(msgspec.to_builtins(change.entries), dict[str, EntryDocument])

    def tell(self, *data: Payload) -> None:
        """Each as an event of its own, a second after the other, in partition 1."""
        position = -1 if self.summary is None else self.summary.applied["1"]
        for number, one in enumerate(data, start=position + 1):
            body = event(one, f"e-{number}", NOON + timedelta(seconds=number))
            self.apply(1, parse_actions([record(number, body)]).actions.get(USER, []))

    @property
    def shelf(self) -> Shelf | None:
        return shelf_of(self.summary, [entry for entry in self.entries.values() if entry is not None])


def test_a_listen_makes_an_entry_and_a_sum() -> None:
    library = Library()
    library.tell(played(), played("song-2", 50_000), played())
    assert library.summary == SummaryDocument(
        id="summary",
        user_id=USER,
        listens=3,
        ms_played=112_000,
        songs=2,
        first_listen_at=NOON,
        last_listen_at=NOON + timedelta(seconds=2),
        recent=(
            Listen(at=NOON + timedelta(seconds=2), song_id="song-1", ms_played=31_000),
            Listen(at=NOON + timedelta(seconds=1), song_id="song-2", ms_played=50_000),
            Listen(at=NOON, song_id="song-1", ms_played=31_000),
        ),
        applied={"1": 2},
        seen={"1": "".join(map(event_mark, ("e-0", "e-1", "e-2")))},
    )
    entry = library.entries["song-1"]
    assert entry is not None
    assert (entry.id, entry.plays, entry.ms_played) == ("song:song-1", 2, 62_000)
    assert (entry.by_plays, entry.by_liked) == ("0000000002 song-1", None)


@pytest.mark.parametrize(
    ("played_ms", "duration_ms", "counts"), [(30_000, 200_000, 1), (29_999, 200_000, 0), (5_000, 10_000, 1)]
)
def test_what_is_no_listen_leaves_no_trace(played_ms: int, duration_ms: int, counts: int) -> None:
    library = Library()
    library.tell(played(played_ms=played_ms, duration_ms=duration_ms))
    assert (library.summary.listens if library.summary else 0) == counts


@pytest.mark.parametrize(
    ("data", "listens", "ms_played"),
    [
        (scrobbled(), 1, 0),
        (scrobbled(duration_ms=200_000), 1, 0),
        (scrobbled(played_ms=29_999), 0, 0),
        (scrobbled(played_ms=30_000), 1, 30_000),
        (imported(), 1, 0),
        (imported("name:one", 1_000), 1, 1_000),
    ],
)
def test_a_listen_whose_time_is_not_known_counts_and_adds_no_time(data: Payload, listens: int, ms_played: int) -> None:
    library = Library()
    library.tell(data)
    assert (library.summary or SummaryDocument(id="summary", user_id=USER)).listens == listens
    assert sum(entry.ms_played for entry in library.entries.values() if entry) == ms_played


def test_like_then_unlike_ends_unliked_in_no_list() -> None:
    library = Library()
    library.tell(SongLiked(user_id=USER, song_id="song-1"))
    assert library.summary is not None
    assert library.summary.liked == 1
    library.tell(SongUnliked(user_id=USER, song_id="song-1"))
    assert library.summary.liked == 0
    entry = library.entries["song-1"]
    assert entry is not None
    assert (entry.by_recent, entry.by_plays, entry.by_liked) == (None, None, None)


def test_an_upload_counts_until_it_is_removed() -> None:
    library = Library()
    library.tell(SongUploaded(user_id=USER, song_id="song-1", title="T", artist="A", duration_ms=1))
    assert library.summary is not None
    assert library.summary.uploaded == 1
    library.tell(SongRemoved(user_id=USER, song_id="song-1"))
    assert library.summary.uploaded == 0


def test_an_event_that_was_sent_twice_counts_once() -> None:
    twice = event(played(), "same")
    acts = parse_actions([record(0, twice), record(1, twice)]).actions[USER]
    library = Library()
    library.apply(1, acts)
    # Between processes too, and after others.
    library.apply(1, parse_actions([record(2, event(played("song-2"), "other")), record(3, twice)]).actions[USER])
    assert library.summary is not None
    assert library.summary.listens == 2


def test_what_is_remembered_of_a_listener_is_bounded() -> None:
    library = Library()
    library.tell(*[played() for _ in range(SEEN + RECENT + 1)])
    assert library.summary is not None
    assert (len(library.summary.recent), len(library.summary.seen["1"])) == (RECENT, 8 * SEEN)


def test_what_cannot_be_understood_is_told_and_passed_over() -> None:
    early = event(played(), "early", NOON + timedelta(hours=1, seconds=1))
    said = parse_actions([record(1, b"\xff"), record(2, early), record(3, event(played(), "good"))])
    assert {position: why.reason for position, why in said.poison.items()} == {1: "not-an-event", 2: "broken-contract"}
    assert [act.position for act in said.actions[USER]] == [3]
    assert not parse_actions([record(2, early, logged=None)]).poison


def test_a_transaction_never_outgrows_what_cosmos_db_takes() -> None:
    songs = [f"{number:03}" + "x" * 125 for number in range(150)]
    user = "u" * 128
    acts = [
        act
        for number, song in enumerate(songs)
        for act in (
            ListenerAction(3 * number, f"{number:08}", "listen", song, NOON, 86_400_000),
            ListenerAction(3 * number + 1, f"{number + 1000:08}", "like", song, NOON),
            ListenerAction(3 * number + 2, f"{number + 2000:08}", "upload", song, NOON),
        )
    ]
    count = transaction_size(acts)
    assert len({act.song_id for act in acts[:count]}) == MAX_SONGS
    assert acts[count].song_id == songs[MAX_SONGS]
    change = apply_actions(user, None, dict.fromkeys(songs), "1", acts[:count])
    assert change is not None
    batch = operations(None, change)
    assert len(batch) == 100
    # Half of 2 MB, for marks of several partitions come to it.
    assert len(msgspec.json.encode(batch)) < 1_000_000


SONGS = st.sampled_from(["song-1", "song-2", "song-3"])
DATA = st.one_of(
    st.builds(played, SONGS, st.sampled_from([1_000, 30_000, 60_000])),
    st.builds(scrobbled, SONGS, st.sampled_from([None, 1_000, 30_000]), st.sampled_from([None, 1_000])),
    st.builds(imported, SONGS, st.sampled_from([None, 1_000])),
    st.builds(lambda song: SongLiked(user_id=USER, song_id=song), SONGS),
    st.builds(lambda song: SongUnliked(user_id=USER, song_id=song), SONGS),
    st.builds(lambda song: SongUploaded(user_id=USER, song_id=song, title="T", artist="A", duration_ms=1), SONGS),
    st.builds(lambda song: SongRemoved(user_id=USER, song_id=song), SONGS),
)
# Few ids, so that some come twice, near and far; few moments, so that some are equal.
EVENTS = st.builds(
    lambda data, number, second: event(data, f"e-{number}", NOON + timedelta(seconds=second)),
    DATA,
    st.integers(0, 150),
    st.integers(-5, 5),
)


@given(logs=st.lists(st.lists(EVENTS, max_size=100), min_size=1, max_size=3), data=st.data())
def test_any_portions_with_any_repetition_come_to_the_reference(logs: list[list[Event]], data: st.DataObject) -> None:
    library = Library()
    following = [0] * len(logs)
    while left := [number for number, log in enumerate(logs) if following[number] < len(log)]:
        partition = data.draw(st.sampled_from(left))
        # A reader that begins again at its checkpoint sees some of what it saw before.
        start = data.draw(st.integers(0, following[partition]))
        end = data.draw(st.integers(following[partition] + 1, len(logs[partition])))
        records = [record(position, logs[partition][position]) for position in range(start, end)]
        library.apply(partition, parse_actions(records).actions.get(USER, []))
        following[partition] = end
    places: list[Place] = [(n, position, one) for n, log in enumerate(logs) for position, one in enumerate(log)]
    assert library.shelf == libraries(places).get(USER)
