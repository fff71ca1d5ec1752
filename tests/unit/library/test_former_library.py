"""Libraries of the former version go on: what they come to is what a fold of all events comes to."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from songline.audit.chart_reference import is_heard
from songline.audit.library_reference import Place
from songline.processors.library.former_library import TornLibraryError, carried_actions
from songline.schemas.envelope import Event
from songline.schemas.events import Payload, SongLiked, SongPlayed, SongRemoved, SongUnliked, SongUploaded
from songline.schemas.library.action import Kind, UserAction, event_mark, merge_actions, microseconds
from songline.schemas.library.action_run import decode_run, encode_run
from songline.schemas.library.fold import FoldedLibrary, fold_actions
from songline.schemas.library.listener_documents import SummaryDocument
from tests.support.former_documents import former_documents

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
USER = "user-7"
SONGS = st.sampled_from(["song-1", "song-2", "song-3"])
DATA: st.SearchStrategy[Payload] = st.one_of(
    st.builds(
        lambda song, ms: SongPlayed(user_id=USER, song_id=song, played_ms=ms, duration_ms=200_000, region="DE"),
        SONGS,
        st.sampled_from([1_000, 30_000, 60_000]),
    ),
    st.builds(lambda song: SongLiked(user_id=USER, song_id=song), SONGS),
    st.builds(lambda song: SongUnliked(user_id=USER, song_id=song), SONGS),
    st.builds(lambda song: SongUploaded(user_id=USER, song_id=song, title="T", artist="A", duration_ms=1), SONGS),
    st.builds(lambda song: SongRemoved(user_id=USER, song_id=song), SONGS),
)


@st.composite
def logs(draw: st.DrawFn) -> list[Place]:
    """What a listener did, in up to three partitions. An event is sent twice now and then, soon after."""
    places: list[Place] = []
    for partition in range(draw(st.integers(1, 3))):
        events: list[Event] = []
        for data in draw(st.lists(DATA, max_size=90)):
            # Few moments, so that some are equal.
            at = NOON + timedelta(seconds=draw(st.integers(-30, 30)), microseconds=draw(st.sampled_from([0, 1, 1_000])))
            events.append(Event(id=f"{partition}-{len(events)}", source="/tests", time=at, data=data))
            if draw(st.integers(0, 9)) == 0:
                events.append(events[draw(st.integers(max(0, len(events) - 30), len(events) - 1))])
        places += [(partition, position, event) for position, event in enumerate(events)]
    return places


@settings(deadline=None)
@given(logs(), st.data())
def test_what_was_applied_before_counts_once_and_what_was_not_counts(log: list[Place], data: st.DataObject) -> None:
    applied = {number: data.draw(st.integers(-1, 90)) for number in range(3)}
    # A checkpoint may be behind what was applied: some of it is read again.
    again = {number: data.draw(st.integers(-1, max(-1, position))) for number, position in applied.items()}
    before = [place for place in log if place[1] <= applied[place[0]]]
    after = [place for place in log if place[1] > again[place[0]]]
    carried = carried_actions(*former_documents(USER, before))
    rows = decode_run(encode_run(merge_actions([carried])))
    assert fold_actions([*rows, *actions(after)]) == folded(log)
    assert fold_actions([*rows, *rows, *actions(before)]) == folded(before)


@pytest.mark.parametrize(("first", "then"), [(3, 6), (0, 7), (40, 100), (70, 110), (100, 150), (60, 60)])
def test_a_listener_who_is_carried_over_in_two_states_counts_once(first: int, then: int) -> None:
    """A try was killed before it recorded them, the former version went on, and the next try carries them over."""
    data: list[Payload] = [played(0), played(1), played(0), SongLiked(user_id=USER, song_id="song-0"), played(2)]
    data += [SongUnliked(user_id=USER, song_id="song-0"), SongLiked(user_id=USER, song_id="song-1")]
    log: list[Place] = [
        (0, n, Event(id=f"e-{n}", source="/t", time=NOON + timedelta(minutes=n), data=data[n % len(data)]))
        for n in range(200)
    ]
    rows = [row for end in (first, then) for row in carried_actions(*former_documents(USER, log[: end + 1]))]
    # What is read goes on from where the former version was when the first try began.
    stored = decode_run(encode_run(merge_actions([rows, actions(log[first + 1 :])])))
    assert fold_actions(stored) == folded(log)


def test_sums_of_a_release_that_named_no_state_are_those_before() -> None:
    log: list[Place] = [(0, n, Event(id=f"e-{n}", source="/t", time=NOON, data=played(n))) for n in range(8)]
    carried = carried_actions(*former_documents(USER, log))
    unnamed = [row._replace(import_mark=0) for row in carried]
    assert fold_actions(unnamed) == fold_actions([*carried, *unnamed]) == folded(log)


def test_more_listens_than_have_moments_are_carried_in_sum() -> None:
    log = [
        (0, number, Event(id=f"e-{number}", source="/t", time=NOON + timedelta(minutes=number), data=played(number)))
        for number in range(200)
    ]
    rows = carried_actions(*former_documents(USER, log))
    assert len([row for row in rows if row.kind == "carried"]) == 50 + 4
    found = fold_actions(rows)
    assert found == folded(log)
    assert found.listens == 200
    assert len(found.recent) == 50


def test_a_library_that_was_read_while_it_was_written_is_torn() -> None:
    log: list[Place] = [(0, n, Event(id=f"e-{n}", source="/t", time=NOON, data=played(n))) for n in range(8)]
    summary, entries = former_documents(USER, log)
    newer = structs.replace(entries[0], plays=entries[0].plays + 1, ms_played=entries[0].ms_played + 40_000)
    older = structs.replace(entries[0], plays=entries[0].plays - 1, ms_played=entries[0].ms_played - 40_000)
    for torn in ([newer, *entries[1:]], [older, *entries[1:]], entries[1:], []):
        with pytest.raises(TornLibraryError):
            carried_actions(summary, torn)
        listens = fold_actions(carried_actions(summary, torn, strict=False)).listens
        assert listens == sum(entry.plays for entry in torn)


def test_of_nothing_comes_nothing() -> None:
    assert carried_actions(SummaryDocument(id="summary", user_id=USER), []) == []


def played(number: int) -> SongPlayed:
    return SongPlayed(user_id=USER, song_id=f"song-{number % 4}", played_ms=40_000, duration_ms=200_000, region="DE")


def folded(log: list[Place]) -> FoldedLibrary:
    return fold_actions(actions(log))


def actions(log: list[Place]) -> list[UserAction]:
    """The rows that today's worker makes of the events."""
    kinds: dict[type, Kind] = {
        SongPlayed: "listen",
        SongLiked: "like",
        SongUnliked: "unlike",
        SongUploaded: "upload",
        SongRemoved: "remove",
    }
    return [
        UserAction(
            USER,
            event.data.song_id,
            microseconds(event.time),
            event_mark(event.id),
            kinds[type(event.data)],
            partition,
            position,
            (event.data.played_ms or 0) if isinstance(event.data, SongPlayed) else 0,
        )
        for partition, position, event in log
        if not (isinstance(event.data, SongPlayed) and not is_heard(event.data))
    ]
