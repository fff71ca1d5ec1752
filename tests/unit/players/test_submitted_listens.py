"""What players submit in ListenBrainz' form, and what becomes of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.players.listenbrainz.errors import ListenBrainzError
from songline.players.listenbrainz.listen_events import imported, listen_key, played
from songline.players.listenbrainz.submission import MAX_LISTENS, SubmittedListens, check_encoding, read_submission
from songline.processors.library.actions import parse_actions
from songline.processors.runtime.hub_record import HubRecord
from songline.schemas.acceptance import accept
from songline.schemas.envelope import Event, encode
from songline.schemas.events import ImportUndone, ListenImported, SongPlayed
from songline.schemas.library.fold import FoldedLibrary, fold_actions

NOW = datetime(2026, 11, 29, 23, 59, 59, 900_000, tzinfo=UTC)
BEGAN_S = 1_795_990_000
MBID = "e225fb84-dc9a-419e-adcd-9890f59ec432"


def body(*listens: Any, listen_type: str = "single", **others: Any) -> bytes:
    return json.dumps({"listen_type": listen_type, "payload": list(listens), **others}).encode()


def listen(began_s: Any = BEGAN_S, info: Any = None, **words: Any) -> dict[str, Any]:
    track = {"artist_name": "Ada", "track_name": "Ode", **words}
    return {"listened_at": began_s, "track_metadata": track | ({} if info is None else {"additional_info": info})}


def read(*listens: Any, listen_type: str = "single") -> SubmittedListens:
    return read_submission(body(*listens, listen_type=listen_type), NOW)


def test_a_single_listen_is_a_play_at_its_own_moment() -> None:
    info = {
        "media_player": "mpd",
        "submission_client": "mpdscribble",
        "duration_ms": 200_000,
        "duration_played": 180,
        "recording_mbid": MBID.upper(),
        "tags": ["unknown to us"],
    }
    (one,) = read(listen(info=info, release_name="Odes")).listens
    event = played("user-7", one, "song-1")
    assert event.time == datetime.fromtimestamp(BEGAN_S, UTC)
    assert event.data == SongPlayed(
        user_id="user-7", song_id="song-1", played_ms=180_000, duration_ms=200_000, device="mpd"
    )
    assert one.listen.recording_mbid == MBID
    assert accept(encode(event), NOW) == event


def test_what_was_heard_for_a_moment_is_a_listen_by_its_players_word() -> None:
    (one,) = read(listen(info={"duration_played": 20})).listens
    assert played("user-7", one, "song-1").data == SongPlayed(user_id="user-7", song_id="song-1")


def test_a_listen_of_a_history_keeps_its_words() -> None:
    history = read(listen(), listen(1_616_432_101, artist_name="Ada feat. Bo"), listen_type="import")
    events = [imported("user-7", one, "song-1", "import-1") for one in history.listens]
    assert [event.data.artists for event in events if isinstance(event.data, ListenImported)] == [
        ("Ada",),
        ("Ada feat. Bo",),
    ]
    assert [accept(encode(event), NOW) for event in events] == events


def library(*events: Event) -> FoldedLibrary:
    records = [HubRecord(number, NOW, encode(event)) for number, event in enumerate(events)]
    return fold_actions(parse_actions(0, records).actions)


def test_a_listen_of_two_imports_counts_once_and_stays_when_one_is_taken_back() -> None:
    (one,) = read(listen(), listen_type="import").listens
    first, again, other = (imported("user-7", one, "song-1", name) for name in ("import-1", "import-1", "import-2"))
    assert first.id == again.id
    assert first.id != other.id, "else it is taken for a copy, and nobody has it once the first import is undone"
    undone = Event(id="undo-1", source="/tests", time=NOW, data=ImportUndone(user_id="user-7", import_id="import-1"))
    assert [library(*some).listens for some in ((first, again), (first, other), (first, undone))] == [1, 1, 0]
    assert library(first, other, undone).listens == library(undone, other).listens == 1
    assert library(played("user-7", one, "song-1"), first).listens == 1, "reported and imported"


def test_what_plays_has_no_moment() -> None:
    now_playing = {"track_metadata": {"artist_name": "Ada", "track_name": "Ode"}}
    (one,) = read(now_playing, listen_type="playing_now").listens
    assert (one.listen.title, one.listen.artists) == ("Ode", ("Ada",))
    assert read(listen(), listen_type="playing_now").listens == (one,), "a client may send one"


@given(
    st.integers(946_684_800, int(NOW.timestamp()) + 3_600),
    st.text(st.characters(codec="utf-8"), min_size=1),
    st.text(st.characters(codec="utf-8"), min_size=1),
)
def test_the_same_listen_has_the_same_id_and_another_has_another(began_s: int, title: str, artist: str) -> None:
    try:
        (one,) = read(listen(began_s, track_name=title, artist_name=artist)).listens
    except ListenBrainzError:
        assert not title.strip() or not artist.strip() or not title.isprintable() or not artist.isprintable()
        return
    again = read(listen(str(began_s), {"duration": 3}, track_name=title, artist_name=artist)).listens[0]
    assert listen_key("user-7", one) == listen_key("user-7", again)
    assert listen_key("user-8", one) != listen_key("user-7", one)
    later = (
        read(listen(began_s - 1, track_name=title, artist_name=artist)).listens[0] if began_s > 946_684_800 else None
    )
    assert later is None or listen_key("user-7", later) != listen_key("user-7", one)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "Cannot parse JSON"),
        (b"[]", "Cannot parse JSON"),
        (b'{"listen_type":"single","payload":[' + b"[" * 500, "Cannot parse JSON"),
        (body(listen(), listen_type="scrobble"), "listen_type: saw 'scrobble', expected one of single, import"),
        (body(listen_type="import"), "does not contain any listens"),
        (json.dumps({"listen_type": "single", "payload": listen()}).encode(), "does not contain any listens"),
        (body(listen(), listen()), "saw 2, expected 1"),
        (body(*[listen()] * (MAX_LISTENS + 1), listen_type="import"), "saw 1001, expected 1000"),
        (body(listen(info={"notes": "x" * 20_000})), "too large"),
        (body({"listened_at": 1}), r"payload\[0\].track_metadata.track_name: saw None"),
        (body("listen"), "track_name: saw None"),
        (body(listen(track_name="")), "track_name: saw ''"),
        (body(listen(artist_name=["Ada"])), r"artist_name: saw \['Ada'\]"),
        (body(listen(None)), "listened_at: saw None"),
        (body(listen("yesterday")), "listened_at: saw 'yesterday'"),
        (body(listen(0)), "listened_at: saw 0, expected seconds since 1970, of 946684800 or later."),
        (body(listen(BEGAN_S * 1000)), "expected seconds since 1970, of 946684800 or later, and no milliseconds."),
        (body(listen(BEGAN_S * 1_000)), "listened_at: saw"),
        (body(listen(int(NOW.timestamp()) + 3_602)), "in an hour"),
        (body(listen(), listen(0), listen_type="import"), r"payload\[1\]"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_taken(sent: bytes, message: str) -> None:
    with pytest.raises(ListenBrainzError, match=message) as refused:
        read_submission(sent, NOW)
    assert refused.value.status == 400


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    )
)
def test_foreign_values_are_refused_and_raise_nothing_else(value: Any) -> None:
    for made in (value, {"listen_type": "single", "payload": [value]}, listen(info=value), listen(value)):
        sent = json.dumps(
            made if isinstance(made, dict) and "payload" in made else {"listen_type": "import", "payload": [made]}
        )
        try:
            found = read_submission(sent.encode(), NOW)
        except ListenBrainzError:
            continue
        for one in found.listens:
            accept(encode(played("user-7", one, "song-1")), NOW)
            accept(encode(imported("user-7", one, "song-1", "import-1")), NOW)


def test_a_body_that_is_packed_is_told_apart_from_one_that_is_broken() -> None:
    for encoding in (None, "", "identity", " Identity"):
        check_encoding(encoding)
    with pytest.raises(ListenBrainzError, match="saw 'gzip', expected none") as refused:
        check_encoding("gzip")
    assert refused.value.status == 415


def test_a_clock_that_is_a_little_ahead_is_taken() -> None:
    ahead = int((NOW + timedelta(minutes=59)).timestamp())
    assert len(read(listen(ahead)).listens) == 1
