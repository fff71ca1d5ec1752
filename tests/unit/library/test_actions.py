"""Events to actions to libraries: what counts, and that neither portions, repetition nor interleaving change it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from songline.audit.library_reference import Place, libraries
from songline.processors.library.actions import parse_actions
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.envelope import Event, encode
from songline.schemas.events import (
    ImportUndone,
    ListenImported,
    Payload,
    SongLiked,
    SongPlayed,
    SongRemoved,
    SongUnliked,
    SongUploaded,
)
from songline.schemas.library.action import Kind, UserAction, event_mark, microseconds
from songline.schemas.library.fold import FoldedLibrary, fold_actions
from tests.support.library_tree import MemoryShelf, tiny
from tests.support.stored_libraries import stored

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
USER = "user-7"


def played(song_id: str = "song-1", played_ms: int = 31_000, duration_ms: int = 200_000) -> SongPlayed:
    return SongPlayed(user_id=USER, song_id=song_id, played_ms=played_ms, duration_ms=duration_ms, region="DE")


def scrobbled(song_id: str = "song-1", played_ms: int | None = None, duration_ms: int | None = None) -> SongPlayed:
    return SongPlayed(user_id=USER, song_id=song_id, played_ms=played_ms, duration_ms=duration_ms)


def imported(
    song_id: str = "song-1",
    played_ms: int | None = None,
    import_id: str = "import-1",
    precision_ms: int | None = None,
) -> ListenImported:
    return ListenImported(
        user_id=USER,
        song_id=song_id,
        import_id=import_id,
        precision_ms=precision_ms,
        origin="spotify",
        title="One",
        artists=("Two",),
        played_ms=played_ms,
    )


def event(data: Payload, event_id: str, at: datetime = NOON) -> Event:
    return Event(id=event_id, source="/tests", time=at, data=data)


def record(position: int, body: Event | bytes, logged: datetime | None = NOON) -> HubRecord:
    return HubRecord(position, logged, body if isinstance(body, bytes) else encode(body))


def told(*data: Payload) -> FoldedLibrary:
    """The library after the events, each a second after the other, in partition 1."""
    events = [event(one, f"e-{number}", NOON + timedelta(seconds=number)) for number, one in enumerate(data)]
    return fold_actions(parse_actions(1, [record(number, one) for number, one in enumerate(events)]).actions)


def test_a_listen_becomes_an_action() -> None:
    at = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)
    parsed = parse_actions(3, [record(17, event(played(), "one", at))])
    expected = UserAction(USER, "song-1", microseconds(at), event_mark("one"), "listen", 3, 17, 31_000)
    assert parsed.actions == [expected]
    assert expected.at_us == 1_795_348_800_123_456


@pytest.mark.parametrize(
    ("played_ms", "duration_ms", "counts"), [(30_000, 200_000, 1), (29_999, 200_000, 0), (5_000, 10_000, 1)]
)
def test_what_is_no_listen_leaves_no_trace(played_ms: int, duration_ms: int, counts: int) -> None:
    assert told(played(played_ms=played_ms, duration_ms=duration_ms)).listens == counts


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
    library = told(data)
    assert (library.listens, library.ms_played) == (listens, ms_played)


def test_an_imported_listen_is_known_as_one() -> None:
    (action,) = parse_actions(0, [record(0, event(imported(), "one"))]).actions
    assert (action.kind, action.import_mark) == ("imported", event_mark("import-1"))


SECOND_US = 1_000_000


@pytest.mark.parametrize(
    ("listens", "kept"),
    [
        ([("imported", 0.0), ("imported", 1.0)], [0.0]),
        ([("imported", 0.9), ("imported", 1.1)], [0.9]),
        ([("imported", 0.0), ("imported", 2.0)], [0.0, 2.0]),
        ([("imported", 0.0), ("imported", 1.0), ("imported", 2.0)], [0.0, 2.0]),
        ([("imported", 0.0), ("listen", 1.0)], [1.0]),
        ([("listen", 0.0), ("listen", 1.0)], [0.0, 1.0]),
        ([("listen", 0.0), ("imported", 1.0)], [0.0]),
        ([("coarse", 0.0), ("imported", 37.0)], [37.0]),
        ([("coarse", 0.0), ("coarse", 59.0)], [0.0]),
        ([("coarse", 0.0), ("coarse", 60.0)], [0.0, 60.0]),
        ([("coarse", 0.0), ("listen", 59.0)], [59.0]),
        ([("imported", 0.0), ("coarse", 30.0)], [0.0, 30.0]),
    ],
)
def test_the_same_listen_in_two_histories_counts_once(listens: list[tuple[Kind, float]], kept: list[float]) -> None:
    base = microseconds(NOON)
    actions = [
        UserAction(USER, "song-1", base + int(at * SECOND_US), number, kind, 0, number, import_mark=number)
        for number, (kind, at) in enumerate(listens)
    ]
    for order in (actions, actions[::-1]):
        assert sorted((at_us - base) / SECOND_US for at_us, _, _ in fold_actions(order).recent) == kept


def test_an_import_that_was_taken_back_has_no_listens() -> None:
    """What another import brought too stays, and so does what comes of it after it was taken back."""
    first, second = imported(import_id="one"), imported(import_id="two")
    log = [event(first, "a"), event(second, "a"), event(imported("song-2", import_id="one"), "b")]
    undone = event(ImportUndone(user_id=USER, import_id="one"), "c")
    for order in ([*log, undone], [undone, *log]):
        records = [record(number, one) for number, one in enumerate(order)]
        assert [song.song_id for song in fold_actions(parse_actions(0, records).actions).songs] == ["song-1"]


def test_like_then_unlike_ends_unliked_in_no_list() -> None:
    assert told(SongLiked(user_id=USER, song_id="song-1")).liked == 1
    library = told(SongLiked(user_id=USER, song_id="song-1"), SongUnliked(user_id=USER, song_id="song-1"))
    assert (library.liked, library.songs) == (0, ())


def test_an_upload_counts_until_it_is_removed() -> None:
    upload = SongUploaded(user_id=USER, song_id="song-1", title="T", artist="A", duration_ms=1)
    assert told(upload).uploaded == 1
    assert told(upload, SongRemoved(user_id=USER, song_id="song-1")).uploaded == 0


@pytest.mark.parametrize("between", [0, 1, 200])
def test_an_event_that_was_sent_twice_counts_once_however_late_the_copy_comes(between: int) -> None:
    twice = event(played(), "same")
    others = [event(played("song-2"), f"other-{number}") for number in range(between)]
    log = [record(position, one) for position, one in enumerate([twice, *others, twice])]
    assert fold_actions(parse_actions(1, log).actions).listens == 1 + between


def test_what_cannot_be_understood_is_told_and_passed_over() -> None:
    early = event(played(), "early", NOON + timedelta(hours=1, seconds=1))
    said = parse_actions(1, [record(1, b"\xff"), record(2, early), record(3, event(played(), "good"))])
    assert {position: why.reason for position, why in said.poison.items()} == {1: "not-an-event", 2: "broken-contract"}
    assert [action.position for action in said.actions] == [3]
    assert not parse_actions(1, [record(2, early, logged=None)]).poison


SONGS = st.sampled_from(["song-1", "song-2", "song-3"])
IMPORTS = st.sampled_from(["import-1", "import-2", "import-3"])
DATA = st.one_of(
    st.builds(played, SONGS, st.sampled_from([1_000, 30_000, 60_000])),
    st.builds(scrobbled, SONGS, st.sampled_from([None, 1_000, 30_000]), st.sampled_from([None, 1_000])),
    st.builds(imported, SONGS, st.sampled_from([None, 1_000]), IMPORTS, st.sampled_from([None, 1_000, 60_000])),
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
    st.integers(-5, 5) | st.integers(-90_000, 90_000).map(lambda part: part / 1_000),
)
UNDONE = st.builds(
    lambda one, number: event(ImportUndone(user_id=USER, import_id=one), f"u-{number}"), IMPORTS, st.integers(0, 1)
)


@settings(deadline=None)
@given(
    logs=st.lists(st.lists(EVENTS, max_size=100), min_size=1, max_size=3),
    undone=st.lists(UNDONE, max_size=2),
    data=st.data(),
)
def test_any_portions_with_any_repetition_come_to_the_reference(
    logs: list[list[Event]], undone: list[Event], data: st.DataObject
) -> None:
    for one in undone:
        log = data.draw(st.sampled_from(logs))
        log.insert(data.draw(st.integers(0, len(log))), one)
    shelf = MemoryShelf(tiny())
    following = [0] * len(logs)
    while left := [number for number, log in enumerate(logs) if following[number] < len(log)]:
        partition = data.draw(st.sampled_from(left))
        # A reader that begins again at its checkpoint sees some of what it saw before.
        start = data.draw(st.integers(0, following[partition]))
        end = data.draw(st.integers(following[partition] + 1, len(logs[partition])))
        records = [record(position, logs[partition][position]) for position in range(start, end)]
        shelf.add(partition, parse_actions(partition, records).actions)
        following[partition] = end
    places: list[Place] = [(n, position, one) for n, log in enumerate(logs) for position, one in enumerate(log)]
    found, expected = stored(shelf.documents.values()), libraries(places)
    assert found.get(USER) == expected.get(USER)
