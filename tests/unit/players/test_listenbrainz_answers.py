"""What ListenBrainz' API answers of a library, and the form of its errors, limits and parameters."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from songline.players.listenbrainz.answer_layer import error_of, with_limits
from songline.players.listenbrainz.answers import (
    feedback_answer,
    is_current,
    listens_answer,
    picked,
    playing_answer,
    window_of,
)
from songline.players.listenbrainz.errors import ListenBrainzError
from songline.players.listenbrainz.feedback import Feedback, read_feedback
from songline.players.listenbrainz.query import flag, read_query, whole
from songline.projections.songs.titles import Title
from songline.schemas.library.fold import FoldedSong

S = 1_000_000
LISTENS = [(at * S, f"song-{at}", 0) for at in range(10)]
MBID = "e225fb84-dc9a-419e-adcd-9890f59ec432"
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def test_listens_have_words_or_their_id() -> None:
    found = listens_answer(
        "user-7", [(5 * S + 7, "a", 61_000), (4 * S, "b", 0)], {"a": Title("Ode", "Ada", None)}, 5 * S, 1 * S
    )
    assert found["payload"]["count"] == 2
    assert (found["payload"]["latest_listen_ts"], found["payload"]["oldest_listen_ts"]) == (5, 1)
    first, second = found["payload"]["listens"]
    assert (first["listened_at"], first["recording_msid"]) == (5, "a")
    assert first["track_metadata"]["track_name"] == "Ode"
    assert first["track_metadata"]["additional_info"] == {"recording_msid": "a", "duration_played": 61}
    assert second["track_metadata"]["track_name"] == "b"
    assert listens_answer("user-7", [], {}, None, None)["payload"]["latest_listen_ts"] == 0


@pytest.mark.parametrize(("upwards", "expected"), [(False, [9, 8, 7]), (True, [2, 1, 0])])
def test_pages_go_on_from_either_end_and_are_newest_first(upwards: bool, expected: list[int]) -> None:
    assert [at // S for at, _, _ in picked(LISTENS, 3, is_upwards=upwards)] == expected
    assert picked(LISTENS, 0, is_upwards=upwards) == []
    assert len(picked(LISTENS, 99, is_upwards=upwards)) == 10


def test_neither_bound_is_in_the_window() -> None:
    assert window_of(None, None) == (None, None)
    assert window_of(7, 3) == (4 * S, 7 * S)


def test_likes_are_loved_recordings() -> None:
    song = FoldedSong("a", 1, 0, S, S, 9 * S, None)
    found = feedback_answer("user-7", [song], {"a": Title("Ode", "Ada", None)}, 0, 1)
    assert (found["count"], found["total_count"], found["offset"]) == (1, 1, 0)
    assert found["feedback"][0]["created"] == 9
    assert found["feedback"][0]["track_metadata"]["artist_name"] == "Ada"
    assert feedback_answer("user-7", [song], None, 0, 1)["feedback"][0]["track_metadata"] is None


def test_what_plays_is_one_song_for_ten_minutes() -> None:
    assert playing_answer("user-7", None, None)["payload"]["listens"] == []
    assert playing_answer("user-7", "a", None)["payload"]["count"] == 1
    assert is_current(NOON, 600, NOON + timedelta(seconds=599))
    assert not is_current(NOON, 600, NOON + timedelta(seconds=600))
    assert is_current(NOON, 600, NOON - timedelta(seconds=5)), "another machine's clock is ahead"


def test_problems_become_errors_of_listenbrainz() -> None:
    problem = json.dumps({"title": "Who calls?", "status": 401, "detail": "Why", "type": "about:blank"}).encode()
    assert json.loads(error_of(problem)) == {"code": 401, "error": "Why"}
    assert error_of(b"") == b"", "an answer to HEAD has no body"


def test_limits_are_told_under_both_names() -> None:
    headers = [(b"ratelimit-limit", b"200"), (b"ratelimit-remaining", b"7"), (b"ratelimit-reset", b"3"), (b"x", b"y")]
    found = dict(with_limits(headers, 1_000.9))
    assert found[b"x-ratelimit-limit"] == b"200"
    assert found[b"x-ratelimit-remaining"] == b"7"
    assert found[b"x-ratelimit-reset-in"] == b"3"
    assert found[b"x-ratelimit-reset"] == b"1003"
    assert dict(with_limits([(b"x", b"y")], 0)) == {b"x": b"y"}


def test_parameters_are_read_and_unknown_ones_passed_over() -> None:
    query = read_query(b"count=10&count=20&max_ts=&metadata=True&other=1")
    assert (whole(query, "count"), whole(query, "max_ts", 5), flag(query, "metadata"), flag(query, "x")) == (
        10,
        5,
        True,
        False,
    )
    assert whole({"score": "-1"}, "score") == -1
    for text in ("-1", "1.5", "x", "9" * 30):
        with pytest.raises(ListenBrainzError, match="non-negative"):
            whole({"count": text}, "count")
    with pytest.raises(ListenBrainzError, match="UTF-8"):
        read_query(b"a=%ff")


def test_feedback_is_of_a_song_or_of_a_recording() -> None:
    assert read_feedback(b'{"score":1,"recording_msid":"song-1"}') == Feedback(1, "song-1", None)
    assert read_feedback(b'{"score":-1,"recording_mbid":"%s"}' % MBID.upper().encode()) == Feedback(-1, None, MBID)
    for body in (
        b"",
        b'{"score":2,"recording_msid":"a"}',
        b'{"score":true,"recording_msid":"a"}',
        b'{"score":1}',
        b'{"score":1,"recording_msid":"a b"}',
        b'{"score":1,"recording_msid":7}',
        b'{"score":1,"recording_mbid":"x"}',
        b'{"score":[],"recording_mbid":"x"}',
    ):
        with pytest.raises(ListenBrainzError):
            read_feedback(body)
