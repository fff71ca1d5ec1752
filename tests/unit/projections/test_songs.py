"""Searches, cursors, and the document that answers come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.projections.songs.queries import SongCursorError, SongSearch, after, cursor, query, search
from songline.schemas.search import Term, artist_word

ORDER = "2026-11-22T12:00:00.000000+00:00 song-42"


def test_a_search_is_folded_as_the_songs_are() -> None:
    assert search("Sigur  RÓS", "INDIE", "Ágætis  byrjun!", None) == SongSearch(
        artist="Sigur  RÓS", genre="indie", words=(((Term("agaetis"),),), ((Term("byrjun"),),))
    )


def test_a_query_holds_values_as_parameters_only() -> None:
    asked = (((Term("one"),), (Term("o"), Term("ne", whole=True))), ((Term("two"),),))
    text, parameters = query(SongSearch(artist="'; --", genre="indie", words=asked, after=ORDER))
    assert "'" not in text
    assert {parameter["name"]: parameter["value"] for parameter in parameters} == {
        "@after": ORDER,
        "@artist": "'; --",
        "@genre": "indie",
        "@name": artist_word("'; --"),
        "@among": " genre:indie",
        "@word5": "one",
        "@word6": "o",
        "@word7": "ne",
        "@word8": "two",
    }
    assert all(str(parameter["name"]) in text for parameter in parameters)


@given(st.from_regex(r"[A-Za-z0-9._:-]{1,128}", fullmatch=True))
def test_a_cursor_leads_back_to_its_song(song_id: str) -> None:
    order = f"2026-11-22T12:00:00.000000+00:00 {song_id}"
    assert after(cursor(order)) == order


@pytest.mark.parametrize("text", ["", "a", "é", "bm9uc2Vuc2U", "////", cursor("~")])
def test_a_cursor_that_nobody_gave_is_refused(text: str) -> None:
    with pytest.raises(SongCursorError):
        after(text)


@given(st.text(max_size=50))
def test_any_cursor_is_read_or_refused(text: str) -> None:
    try:
        after(text)
    except SongCursorError:
        return
