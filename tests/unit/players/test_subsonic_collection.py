"""Songs as players browse and search them."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.players.opensubsonic.album_lists import KINDS, album_list, random_songs, songs_of_genre
from songline.players.opensubsonic.collection import (
    NO_ALBUM,
    Collection,
    Listed,
    album_id_of,
    artist_id,
    derived,
    edged,
    has_words,
)
from songline.players.opensubsonic.elements import album_element, artist_element, moment, seconds, song_element
from songline.players.opensubsonic.errors import OpenSubsonicError
from songline.players.opensubsonic.marks import ListenerMarks
from songline.players.opensubsonic.parameters import Parameters
from songline.players.opensubsonic.searching import FoundMusic, found_music, read_search
from songline.schemas.library.action import microseconds
from songline.schemas.library.fold import FoldedSong
from songline.schemas.search import matches, terms, words
from songline.schemas.songs import Song

BEGAN = datetime(2026, 11, 22, 14, tzinfo=UTC)
WORDS = st.text(st.sampled_from("abÅß-.!÷雨 é'"), max_size=12)


def made(number: int, title: str, artist: str, album: str | None = None, **more: Any) -> Song:
    return Song(
        id=f"song-{number}",
        user_id="ada",
        title=title,
        artist=artist,
        album=album,
        duration_ms=more.pop("duration_ms", 180_400),
        uploaded_at=BEGAN + timedelta(minutes=number),
        sha256="ab" * 32,
        size=4_000_000,
        content_type="audio/mpeg",
        **more,
    )


SONGS = (
    made(1, "Hoppípolla", "Sigur Rós", "Takk…", genre="post-rock"),
    made(2, "Sæglópur", "Sigur Ros", "takk…", genre="post-rock", genres=("post-rock", "ambient")),
    made(3, "Orphans", "R.E.M."),
    made(4, "Divide", "Ed Sheeran", "÷"),
    made(5, "Duet", "Ada & REM", "Both", artists=("Ada", "REM"), genre="pop"),
    made(6, "Chick Chick", "!!!", "As If"),
)


def collected(*songs: Song) -> Collection:
    return derived(Listed(song, edged(words(song.title, song.artist, song.album))) for song in songs or SONGS)


def found(query: str, *songs: Song) -> FoundMusic:
    return found_music(collected(*songs), read_search(Parameters.read(query.encode())))


def asked(query: str) -> Parameters:
    return Parameters.read(query.encode())


def listed(query: str, marks: ListenerMarks | None = None) -> list[str]:
    return [album.name for album in album_list(collected(), asked(query), marks or ListenerMarks(), Random(1))]


def marks_of(*plays: tuple[int, int, int]) -> ListenerMarks:
    """Songs by number, how often they were played, and how many minutes ago."""
    return ListenerMarks(
        tuple(
            FoldedSong(
                f"song-{number}",
                count,
                0,
                None,
                microseconds(BEGAN - timedelta(minutes=ago)) if count else None,
                microseconds(BEGAN - timedelta(minutes=ago)) if not count else None,
                None,
            )
            for number, count, ago in sorted(plays)
        )
    )


def test_spellings_of_a_name_are_one_artist_and_one_album() -> None:
    collection = collected()
    takk = collection.albums[album_id_of(SONGS[0])]
    assert [song.id for song in takk.songs] == ["song-1", "song-2"]
    assert takk.artist == "Sigur Rós"
    assert takk.genres == ("post-rock", "ambient")
    assert artist_id("R.E.M.") == artist_id("REM")
    assert {artist.name for artist in collection.artists.values()} == {
        "Sigur Rós",
        "R.E.M.",
        "Ed Sheeran",
        "Ada",
        "!!!",
    }


def test_each_of_several_artists_has_the_album() -> None:
    collection = collected()
    names = {
        artist.name: [collection.albums[one].name for one in artist.album_ids] for artist in collection.artists.values()
    }
    assert names["R.E.M."] == [NO_ALBUM, "Both"]
    assert names["Ada"] == ["Both"]


def test_every_song_is_on_an_album_that_is_there() -> None:
    collection = collected()
    on = {song.id for album in collection.albums.values() for song in album.songs}
    assert on == {song.id for song in SONGS}
    for song in SONGS:
        assert song_element(song, ListenerMarks())["albumId"] in collection.albums
        assert song_element(song, ListenerMarks())["artistId"] in collection.artists


def test_genres_are_counted() -> None:
    counts = [(one.name, one.songs, one.albums) for one in collected().genres]
    assert counts == [("ambient", 1, 1), ("pop", 1, 1), ("post-rock", 2, 1)]


@pytest.mark.parametrize("query", ["", "query=", "query=%22%22", "query=''", "other=1", "query=+"])
def test_an_empty_query_finds_everything_in_a_lasting_order(query: str) -> None:
    some = found(query)
    assert [song.id for song in some.songs] == [song.id for song in SONGS]
    assert len(some.artists) == 5
    assert len(some.albums) == 5
    more = made(0, "Earlier by its clock", "Somebody")
    later = made(9, "Later", "Somebody")
    first = found("songCount=3", *SONGS, later).songs
    rest = found("songCount=500&songOffset=3", *SONGS, later).songs
    assert [song.id for song in first + rest] == [*(song.id for song in SONGS), "song-9"]
    assert found("", *SONGS, more).songs[0] == more


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("query=sigur+ros", ["Hoppípolla", "Sæglópur"]),
        ("query=saeglop*", ["Sæglópur"]),
        ("query=rem", ["Orphans", "Duet"]),
        ("query=%C3%B7", ["Divide"]),
        ("query=!!!", ["Chick Chick"]),
        ("query=%E2%80%A6", []),
        ("query=*", None),
        ("query=nothing+like+this", []),
    ],
)
def test_a_search_finds_what_it_says(query: str, titles: list[str] | None) -> None:
    seen = [song.title for song in found(query).songs]
    assert seen == ([song.title for song in SONGS] if titles is None else titles)


def test_a_search_finds_artists_and_albums() -> None:
    some = found("query=sigur")
    assert [artist.name for artist in some.artists] == ["Sigur Rós"]
    assert [album.name for album in some.albums] == ["Takk…"]
    assert found("query=sigur&artistCount=0&albumCount=0&songCount=0") == FoundMusic([], [], [])


@given(st.lists(WORDS, max_size=4), WORDS)
def test_words_between_line_feeds_match_as_words_do(texts: list[str], query: str) -> None:
    held = words(*texts)
    assert has_words(terms(query), edged(held)) == matches(terms(query), held)


def test_lists_of_albums() -> None:
    assert listed("type=newest") == ["As If", "Both", "÷", NO_ALBUM, "Takk…"]
    assert listed("type=alphabeticalByName") == [NO_ALBUM, "As If", "Both", "Takk…", "÷"]
    assert listed("type=alphabeticalByArtist")[0] == "As If"
    assert sorted(listed("type=random")) == sorted(listed("type=newest"))
    assert listed("type=byGenre&genre=Ambient") == ["Takk…"]
    assert listed("type=byGenre&genre=%C3%B7") == []
    marks = marks_of((1, 3, 60), (5, 1, 5), (4, 0, 1))
    assert listed("type=frequent", marks) == ["Takk…", "Both"]
    assert listed("type=recent", marks) == ["Both", "Takk…"]
    assert listed("type=starred", marks_of((1, 0, 9), (4, 0, 2), (5, 0, 1), (6, 9, 1))) == ["Both", "÷"]
    assert listed("type=starred", marks_of((1, 0, 9), (2, 0, 2), (5, 0, 7))) == ["Takk…", "Both"]
    for kind in ("starred", "highest", "byYear"):
        assert listed(f"type={kind}") == []
    for query in ("", "type=", "type=odd", "type=byGenre"):
        with pytest.raises(OpenSubsonicError):
            listed(query)
    assert {"random", "newest", "byGenre", "alphabeticalByName"} <= set(KINDS)


def test_songs_by_chance_and_of_a_genre() -> None:
    collection = collected()
    assert len(random_songs(collection, asked(""), 3, Random(1))) == 3
    assert len(random_songs(collection, asked(""), 500, Random(1))) == len(SONGS)
    assert {song.id for song in random_songs(collection, asked("genre=Pop"), 9, Random(1))} == {"song-5"}
    assert [song.id for song in songs_of_genre(collection, "ambient")] == ["song-2"]


def test_a_song_has_what_players_ask_for() -> None:
    element = song_element(SONGS[4], marks_of((5, 2, 10), (6, 0, 3)))
    assert element["title"] == "Duet"
    assert (element["suffix"], element["contentType"], element["size"]) == ("mp3", "audio/mpeg", 4_000_000)
    assert (element["duration"], element["bitRate"]) == (180, 177)
    assert element["path"] == "Ada/Both/Duet.mp3"
    assert element["artists"] == [{"id": artist_id("Ada"), "name": "Ada"}, {"id": artist_id("REM"), "name": "REM"}]
    assert (element["playCount"], element["played"]) == (2, "2026-11-22T13:50:00.000Z")
    assert element["created"] == "2026-11-22T14:05:00.000Z"
    assert "starred" not in element
    # It would send players to ask for a cover that is not there.
    assert "coverArt" not in element
    liked = song_element(SONGS[5], marks_of((6, 0, 3)))
    assert liked["starred"] == "2026-11-22T13:57:00.000Z"
    assert (liked["genres"], "genre" in liked) == ([], False)


def test_an_album_and_an_artist() -> None:
    collection = collected()
    element = album_element(collection.albums[album_id_of(SONGS[0])], marks_of((1, 2, 9), (2, 1, 3)))
    assert (element["name"], element["title"], element["songCount"], element["duration"]) == ("Takk…", "Takk…", 2, 360)
    assert (element["playCount"], element["played"]) == (3, "2026-11-22T13:57:00.000Z")
    assert element["created"] == "2026-11-22T14:02:00.000Z"
    assert artist_element(collection.artists[artist_id("rem")])["albumCount"] == 2


def test_an_album_or_an_artist_stands_for_its_songs() -> None:
    collection = collected()
    takk, rem, ada = album_id_of(SONGS[0]), artist_id("rem"), artist_id("Ada")
    assert [song.id for song in collection.songs_of(takk)] == ["song-1", "song-2"]
    # Not the other songs of an album that they are a guest on.
    assert [song.id for song in collection.songs_of(rem)] == ["song-3", "song-5"]
    assert collection.songs_of("al-none") == collection.songs_of("song-1") == ()
    assert collection.song_ids(["song-2", takk, ada, "ar-none"]) == ("song-2", "song-1", "song-5", "ar-none")


def test_an_album_is_liked_whose_songs_all_are() -> None:
    album = collected().albums[album_id_of(SONGS[0])]
    assert "starred" not in album_element(album, marks_of((1, 0, 9)))
    assert "starred" not in album_element(album, ListenerMarks())
    assert album_element(album, marks_of((1, 0, 9), (2, 0, 3)))["starred"] == "2026-11-22T13:57:00.000Z"


def test_seconds_and_moments() -> None:
    assert [seconds(each) for each in (0, 1, 499, 1_500, 10_031)] == [0, 1, 1, 2, 10]
    assert moment(BEGAN.replace(microsecond=999_999)) == "2026-11-22T14:00:00.999Z"


def test_likes_are_listed_the_last_one_first() -> None:
    marks = marks_of((1, 0, 9), (2, 0, 3), (3, 4, 1), (6, 0, 60))
    assert marks.starred == ["song-2", "song-1", "song-6"]
    assert ListenerMarks().starred == []
    assert ListenerMarks().of("song-1").plays == 0
