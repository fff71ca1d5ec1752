"""Odd but valid files, as services, players and programs for tables write them: each is read as it is meant."""

import gzip
import io
import json
import tarfile
import zipfile
from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from songline.processors.imports import archive_files, plain_file
from songline.processors.imports.history_file import read_history
from songline.processors.imports.rows import HistoryListen, ReadOptions, UnreadableHistoryError
from tests.support.histories import Heard, lastfm_table, listenbrainz_row, spotify, spotify_row, spotify_year

BEGAN_MS = 1_616_432_100_000
"""2021-03-22 16:55:00 UTC."""
SECONDS = BEGAN_MS // 1_000
HEARD = Heard(BEGAN_MS, "Paper Lanterns", "Benno Falk", "Harbour")
LISTEN = (BEGAN_MS, "Paper Lanterns", ("Benno Falk",))


def read(data: bytes, zone: str = "UTC") -> list[Any]:
    """Each row as a listen's begin, title and artists, or as the reason why it is none."""
    rows = [row for _, row in read_history(io.BytesIO(data), ReadOptions("user-7", ZoneInfo(zone)))]
    return [(row.began_ms, row.title, row.artists) if isinstance(row, HistoryListen) else row.reason for row in rows]


def packed(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    return file.getvalue()


def text(*lines: str, end: str = "\n") -> bytes:
    return "".join(line + end for line in lines).encode()


def document(value: Any) -> bytes:
    return json.dumps(value).encode()


TABLE = "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid"
ROW = f'"{SECONDS}","22 Mar 2021, 16:55","Benno Falk","","Harbour","","Paper Lanterns",""'


def youtube_view(title: str, **more: Any) -> dict[str, Any]:
    return {
        "header": "YouTube Music",
        "title": title,
        "titleUrl": "https://music.youtube.com/watch?v=x",
        "subtitles": [{"name": "Benno Falk - Topic", "url": "https://www.youtube.com/channel/x"}],
        "time": "2021-03-22T16:55:00Z",
        "products": ["YouTube"],
        **more,
    }


CASES: dict[str, tuple[bytes, list[Any]]] = {
    # Last.fm as CSV
    "csv: CRLF and a byte order mark": (b"\xef\xbb\xbf" + text(TABLE, ROW, end="\r\n"), [LISTEN]),
    "csv: another order, more columns": (
        text("track,loved,uts,artist,utc_time", f'Paper Lanterns,1,{SECONDS},Benno Falk,"22 Mar 2021, 16:55"'),
        [LISTEN],
    ),
    "csv: fewer columns": (text("artist,track,uts", f"Benno Falk,Paper Lanterns,{SECONDS}"), [LISTEN]),
    "csv: a header in capitals and quotes": (
        text('"UTS","UTC_Time","Artist","Track"', f'{SECONDS},"","Benno Falk","Paper Lanterns"'),
        [LISTEN],
    ),
    "csv: semicolons, as programs for tables write them": (
        text("Artist;Album;Track;uts", f"Benno Falk;Harbour;Paper Lanterns;{SECONDS}"),
        [LISTEN],
    ),
    "csv: a date of a user, in milliseconds": (
        text("Artist;Album;AlbumId;Track;Date#alba", f'"Benno Falk";"Harbour";"1";"Paper Lanterns";"{BEGAN_MS}"'),
        [LISTEN],
    ),
    "csv: tabs": (text("uts\tartist\ttrack", f"{SECONDS}\tBenno Falk\tPaper Lanterns"), [LISTEN]),
    "csv: UTF-16": (text(TABLE, ROW).decode().encode("utf-16"), [LISTEN]),
    "csv: a title of two lines, commas and quotes": (
        text(TABLE, f'{SECONDS},,"Falk, Benno",,,,"Paper\n""Lanterns"", live",'),
        [(BEGAN_MS, 'Paper "Lanterns", live', ("Falk, Benno",))],
    ),
    "csv: the first row has a title of two lines": (
        text('Benno Falk,Harbour,"Paper\nLanterns","22 Mar 2021 16:55"'),
        [LISTEN],
    ),
    "csv: a moment of ISO 8601 under a number's name": (
        text("timestamp,artist,track", "2021-03-22T16:55:00Z,Benno Falk,Paper Lanterns"),
        [LISTEN],
    ),
    "csv: 1970, nothing, and a row that is running": (
        text(
            TABLE,
            '0,"01 Jan 1970, 00:00",Benno Falk,,,,Paper Lanterns,',
            ",,Benno Falk,,,,Paper Lanterns,",
            f"{SECONDS},,,,,,Paper Lanterns,",
            "",
            ROW,
        ),
        ["no-moment", "no-moment", "no-words", LISTEN],
    ),
    "csv: a header alone": (text(TABLE), []),
    "csv: no header, a running row first": (
        text('Benno Falk,Harbour,Quiet Street,""', 'Benno Falk,Harbour,Paper Lanterns,"22 Mar 2021 16:55"'),
        ["no-moment", LISTEN],
    ),
    "csv: no header, semicolons": (text("Benno Falk;Harbour;Paper Lanterns;22 Mar 2021 16:55"), [LISTEN]),
    "csv: no header, tabs": (text("Benno Falk\tHarbour\tPaper Lanterns\t22 Mar 2021 16:55"), [LISTEN]),
    "csv: no header, a moment with its zone, empty values behind": (
        text(
            "Benno Falk,Harbour,Paper Lanterns,2021-03-22 16:55:00 +00:00,,,",
            "Benno Falk,Harbour,Paper Lanterns,22.03.2021 17:55:00 +01:00,,,",
        ),
        [LISTEN, LISTEN],
    ),
    "csv: a line that names the delimiter": (
        b"\xef\xbb\xbf" + text("sep=;", "uts;artist;track", f"{SECONDS};Benno Falk;Paper Lanterns"),
        [LISTEN],
    ),
    **{
        f"csv: columns {names}": (text(names, f"Harbour,Paper Lanterns,Benno Falk,{moment}"), [LISTEN])
        for names, moment in (
            ("Album,Title,Artist,Scrobble Time", '"22 Mar 2021, 16:55"'),
            ("Album,Song,Artist Name,Date/Time", "2021-03-22 16:55:00"),
            ("album,track_name,artist_name,datetime", "2021-03-22 16:55:00 UTC"),
            ("Album Name,Track Title,Artist(s),Unix Timestamp", f"{SECONDS}.0"),
            ("album,track,artist,date_uts", f"{BEGAN_MS}"),
        )
    },
    "csv: a quote that nobody closed takes no other row": (
        text(
            TABLE,
            f'{SECONDS},,"Benno Falk,,,,Quiet Street,',
            *(12 * [ROW]),
            f'{SECONDS},,Benno Falk,,,,"12"" Mix',
        ),
        ["unreadable", *(12 * [LISTEN]), "unreadable"],
    ),
    "csv: Windows-1252, as programs for tables write it": (
        text("uts,artist,track", f"{SECONDS},Björk,Jóga").decode().encode("cp1252"),
        [(BEGAN_MS, "Jóga", ("Björk",))],
    ),
    "csv: line ends of old Macs": (text(TABLE, ROW, end="\r"), [LISTEN]),
    **{
        f"csv: {encoding}": (text(TABLE, ROW).decode().encode(encoding), [LISTEN])
        for encoding in ("utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
    },
    # Last.fm as JSON
    "lastfm: one track, no list": (
        document(
            {"recenttracks": {"track": {"artist": {"#text": "Benno Falk"}, "name": "Paper Lanterns",
                                        "date": {"uts": str(SECONDS)}}, "@attr": {"page": "1"}}}
        ),
        [LISTEN],
    ),
    "lastfm: artists by name, an album without words, a number as the moment": (
        document(
            [{"artist": {"name": "Benno Falk", "url": ""}, "name": "Paper Lanterns", "album": {"#text": ""},
              "mbid": "", "date": {"uts": SECONDS}, "loved": "0"}]
        ),
        [LISTEN],
    ),
    "lastfm: another program's list, in milliseconds": (
        document(
            {"username": "alba", "scrobbles": [{"track": "Paper Lanterns", "artist": "Benno Falk",
                                                "album": "Harbour", "albumId": "", "date": BEGAN_MS}]}
        ),
        [LISTEN],
    ),
    "lastfm: running, null and 1970": (
        document(
            [
                {"artist": {"#text": "A"}, "name": "B", "@attr": {"nowplaying": "true"}},
                None,
                {"artist": None, "name": "B", "date": {"uts": str(SECONDS)}},
                {"artist": {"#text": "A"}, "name": "B", "date": {"uts": "0"}},
                {"artist": {"#text": "A"}, "name": "B", "date": None},
            ]
        ),
        ["now-playing", "unreadable", "no-words", "no-moment", "no-moment"],
    ),
    # ListenBrainz
    "listenbrainz: null mapping and info, a float": (
        document(
            [{"listened_at": SECONDS + 0.0, "inserted_at": "x", "track_metadata":
              {"artist_name": "Benno Falk", "track_name": "Paper Lanterns", "release_name": None,
               "additional_info": None, "mbid_mapping": None}}]
        ),
        [LISTEN],
    ),
    "listenbrainz: lines with CRLF, a blank one, and other keys first": (
        text(
            "",
            document({"recording_msid": "x", "track_metadata": {"track_name": "Paper Lanterns", "artist_name":
                     "Benno Falk"}, "listened_at": str(SECONDS), "user_name": "alba"}).decode(),
            "  ",
            end="\r\n",
        ),
        [LISTEN],
    ),
    "listenbrainz: an archive with empty files and likes": (
        packed(
            **{
                "user.json": b'{"user_id":7,"username":"alba"}',
                "feedback.jsonl": b'{"recording_msid":"x","recording_mbid":null,"score":1,"created":1}\n',
                "listens__2021__2.jsonl": b"",
                "listens__2021__3.jsonl": text(json.dumps(listenbrainz_row(HEARD))),
                "pinned_recording.jsonl": b"",
                "__MACOSX__._3.jsonl": b"\0\5\26\7",
            }
        ),
        [LISTEN],
    ),
    # Spotify
    "spotify: an archive with an empty year, videos and a note": (
        packed(
            **{
                "My__ReadMeFirst.pdf": b"%PDF-1.4",
                "My__Streaming_History_Audio_2020_0.json": b"[]",
                "My__Streaming_History_Audio_2021_1.json": spotify([HEARD]),
                "My__Streaming_History_Video_2021.json": b"[ ]\n"[:3],
            }
        ),
        [LISTEN],
    ),
    "spotify: another order, more keys, nulls": (
        document(
            [
                {"offline_timestamp": None, "skipped": None, "new_field": {"a": [1]}, **spotify_row(HEARD)},
                {**spotify_row(HEARD), "master_metadata_album_artist_name": None},
                {**spotify_row(HEARD), "master_metadata_track_name": None},
                {**spotify_row(HEARD), "master_metadata_track_name": None, "episode_name": "E"},
                {**spotify_row(HEARD), "master_metadata_track_name": None, "audiobook_title": "A"},
                {**spotify_row(HEARD), "ms_played": None},
                {**spotify_row(HEARD), "ts": None},
                None,
            ]
        ),
        [LISTEN, "no-words", "no-words", "podcast", "podcast", "too-short", "no-moment", "unreadable"],
    ),
    "spotify: moments as exports of other years write them": (
        document(
            [
                spotify_row(HEARD, ts=written)
                for written in ("2021-03-22 16:58:00", "2021-03-22 16:58:00 UTC", "2021-03-22T16:58:00.000Z[UTC]")
            ]
        ),
        [LISTEN, LISTEN, LISTEN],
    ),
    "spotify: an account's folder, whose other files are no histories": (
        packed(
            **{
                "Spotify Account Data__StreamingHistory_music_0.json": spotify_year([HEARD]),
                "Spotify Account Data__YourLibrary.json": document(
                    {"tracks": [{"artist": "A", "album": "B", "track": "C", "uri": "x"}], "artists": [{"name": "A"}]}
                ),
                "Spotify Account Data__Playlist1.json": document(
                    {"playlists": [{"name": "n", "items": [{"track": {"trackName": "t", "artistName": "a"},
                                                            "addedDate": "2021-03-22"}]}]}
                ),
                "Spotify Account Data__Marquee.json": document([{"artistName": "A", "segment": "x"}]),
            }
        ),
        [LISTEN],
    ),
    "spotify: podcasts of a year": (
        document([{"endTime": "2021-03-22 16:58", "podcastName": "P", "episodeName": "E", "msPlayed": 900_000}]),
        ["podcast"],
    ),
    # Maloja
    "maloja: no album, no length, several artists": (
        document(
            {"maloja": {"export_time": 1}, "scrobbles": [
                {"time": SECONDS, "track": {"artists": ["Benno Falk", "Alba Reed"], "title": "Paper Lanterns",
                                            "album": None, "length": None}, "duration": None, "origin": None}]}
        ),
        [(BEGAN_MS, "Paper Lanterns", ("Benno Falk", "Alba Reed"))],
    ),
    "maloja: as earlier versions write it": (
        document({"scrobbles": [{"artists": ["Benno Falk"], "title": "Paper Lanterns", "time": SECONDS}]}),
        [LISTEN],
    ),
    "maloja: nothing": (document({"scrobbles": []}), []),
    # Rockbox
    "rockbox: CRLF, local time": (
        text(
            "#AUDIOSCROBBLER/1.1",
            "#TZ/UNKNOWN",
            "#CLIENT/Rockbox ipod6g",
            f"Benno Falk\tHarbour\tPaper Lanterns\t\t201\tL\t{SECONDS + 3_600}\t",
            f"<Untagged>\t\tPaper Lanterns\t\t201\tL\t{SECONDS}\t",
            f"Benno Falk\t\tPaper Lanterns\t3\t201\tS\t{SECONDS}\t",
            "#7\tA\tTitle with a sign\t\t1\tL\t0\t",
            end="\r\n",
        ),
        [LISTEN, "no-words", "skipped", "no-moment"],
    ),
    "rockbox: version 1.0, a byte order mark, no MusicBrainz id": (
        b"\xef\xbb\xbf"
        + text("#AUDIOSCROBBLER/1.0", "#TZ/UTC", f"Benno Falk\tHarbour\tPaper Lanterns\t1\t201\tL\t{SECONDS}"),
        [(BEGAN_MS, "Paper Lanterns", ("Benno Falk",))],
    ),
    "rockbox: headers that somebody took away, Windows-1252": (
        f"Björk\tHarbour\tPaper Lanterns\t3\t201\tL\t{SECONDS}\n".encode("cp1252"),
        [(BEGAN_MS, "Paper Lanterns", ("Björk",))],
    ),
    "rockbox: headers alone": (text("#AUDIOSCROBBLER/1.1", "#TZ/UTC"), []),
    # Pano Scrobbler
    "pano: an album artist alone, a love, a running one, text as number": (
        text(
            *(
                document(one).decode()
                for one in (
                    {"timeHuman": "x", "timeMs": str(BEGAN_MS), "artist": "", "albumArtist": "Benno Falk",
                     "track": "Paper Lanterns", "album": None, "durationMs": None, "event": "scrobble"},
                    {"timeMs": BEGAN_MS, "artist": "A", "track": "B", "event": "love"},
                    {"timeMs": BEGAN_MS, "artist": "A", "track": "B", "event": "nowplaying"},
                )
            )
        ),
        [LISTEN, "no-listen", "now-playing"],
    ),
    "lastfm: a moment in words alone": (
        document(
            [
                {"artist": {"#text": "Benno Falk"}, "name": "Paper Lanterns", "date": {"#text": "22 Mar 2021, 16:55"}},
                {"artist": {"#text": "Benno Falk"}, "name": "Paper Lanterns", "date": "22 Mar 2021, 16:55"},
            ]
        ),
        [LISTEN, LISTEN],
    ),
    "spotify: a title that was cut inside a character, beside one that was not": (
        document([spotify_row(HEARD, master_metadata_track_name=title) for title in ("Paper \ud83c", "\\ud83c 🏮")]),
        [(BEGAN_MS, "Paper \ufffd", ("Benno Falk",)), (BEGAN_MS, "\\ud83c 🏮", ("Benno Falk",))],
    ),
    "listenbrainz: a line with a byte that is no UTF-8": (
        text(json.dumps(listenbrainz_row(HEARD)), json.dumps(listenbrainz_row(HEARD))).replace(b"Lanterns", b"\xff", 1),
        [(BEGAN_MS, "Paper \ufffd", ("Benno Falk",)), LISTEN],
    ),
    # YouTube Music
    "youtube: a former history, whose addresses alone say that it was music": (
        document([youtube_view("Watched Paper Lanterns", header="YouTube")]),
        [LISTEN],
    ),
    "youtube: a search, a visit, an advertisement": (
        document(
            [
                youtube_view("Searched for lanterns", titleUrl="https://music.youtube.com/search?q=lanterns"),
                youtube_view("Viewed a channel", titleUrl="https://www.youtube.com/channel/x"),
                youtube_view("Watched Paper Lanterns", details=[{"name": "From Google Ads"}]),
            ]
        ),
        ["no-listen", "no-listen", "no-music"],
    ),
    **{
        f"youtube: {words}": (document([youtube_view(words)]), [LISTEN])
        for words in (
            "Watched\xa0Paper Lanterns", "Vous avez regardé Paper Lanterns", "Has visto Paper Lanterns",
            "Hai guardato Paper Lanterns", "Assistiu a Paper Lanterns", "Paper Lanterns angesehen",
            "Paper Lanterns を視聴しました", "Paper Lanterns을(를) 시청했습니다.", "Просмотрено видео «Paper Lanterns»",
            "观看了「Paper Lanterns」",
        )
    },
    "youtube: words in another language, which a video that has gone tells": (
        document(
            [
                youtube_view("Sled «https://music.youtube.com/watch?v=x»", subtitles=None),
                youtube_view("Sled «Paper Lanterns»"),
            ]
        ),
        ["no-words", LISTEN],
    ),
    "youtube: words in another language, which many titles have in common": (
        document(
            [youtube_view(f"Sled {number} od dela", subtitles=[{"name": f"A{number} - Topic"}]) for number in range(12)]
        ),
        [(BEGAN_MS, str(number), (f"A{number}",)) for number in range(12)],
    ),
    "youtube: an advertisement, a video that has gone, a plain title": (
        document(
            [
                {"header": "YouTube", "title": "Watched an ad", "time": "2021-03-22T16:55:00Z",
                 "details": [{"name": "From Google Ads"}]},
                {"header": "YouTube Music", "title": "Watched https://music.youtube.com/watch?v=x",
                 "titleUrl": "https://music.youtube.com/watch?v=x", "time": "2021-03-22T16:55:00.123Z"},
                {"header": "YouTube Music", "title": "Paper Lanterns", "subtitles": [{"name": "Benno Falk - Topic"}],
                 "time": "2021-03-22T17:55:00+01:00"},
            ]
        ),
        ["no-music", "no-words", LISTEN],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_is_read_as_it_is_meant(name: str) -> None:
    data, rows = CASES[name]
    zone = "Europe/Berlin" if "local time" in name else "UTC"
    assert read(data, zone) == rows


@pytest.mark.parametrize(
    "data",
    [lastfm_table([HEARD]), text(json.dumps(listenbrainz_row(HEARD))), spotify([HEARD])],
    ids=["csv", "lines", "array"],
)
def test_a_packed_file_is_read_as_it_stands(data: bytes) -> None:
    assert read(gzip.compress(data)) == read(data) == [LISTEN]
    # Members of a gzip file follow each other, and so do files in an archive.
    half = len(data) // 2
    assert read(gzip.compress(data[:half]) + gzip.compress(data[half:])) == [LISTEN]
    assert read(packed(a=gzip.compress(data), b=b"[]")) == [LISTEN]


def test_a_list_of_nothing_is_a_history_without_rows() -> None:
    assert read(b" []\n") == []
    assert read(b"[\n \n]\n") == []
    assert read(packed(a=b"[]")) == []
    assert read(gzip.compress(b"[]")) == []


def tar(mode: Any, **files: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_archive_is_read_as_a_zip_archive_is(mode: str) -> None:
    data = tar(mode, note=b"hello", nothing=b"", year=spotify([HEARD]), table=lastfm_table([HEARD]))
    assert read(data) == [LISTEN, LISTEN]
    with pytest.raises(UnreadableHistoryError, match="without a history"):
        read(tar(mode, note=b"hello"))
    with pytest.raises(UnreadableHistoryError, match=r"can't be (read|unpacked|opened)|Export or download it again"):
        read(tar(mode, year=spotify(50 * [HEARD]))[: 600 if mode == "w" else -60])


def test_archives_inside_an_archive_are_read() -> None:
    year = packed(year=spotify([HEARD]))
    data = packed(first=year, second=tar("w:gz", table=lastfm_table([HEARD])), third=gzip.compress(year), note=b"x")
    assert read(data) == [LISTEN, LISTEN, LISTEN]
    assert read(packed(outer=packed(inner=year))) == [LISTEN]
    with pytest.raises(UnreadableHistoryError, match="without a history"):
        read(packed(a=packed(b=packed(c=year))))


def test_archives_inside_an_archive_share_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    year = packed(year=spotify([HEARD]), other=b"x")
    assert read(packed(a=year, b=year)) == [LISTEN, LISTEN]
    for name, value, words in (
        ("MAX_FILES", 5, "expected at most 5"),
        ("MAX_INNER_BYTES", 100, "unpack the outer one"),
        ("MAX_UNPACKED_BYTES", 800, "unpacks to more than"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(archive_files, name, value)
            with pytest.raises(UnreadableHistoryError, match=words):
                read(packed(a=year, b=year))


@pytest.mark.parametrize("begin", [b"\0\0\0\x20ftypisom", b"\x01\0\x02\0\x03\x04", b"a\rb\0"])
def test_a_large_file_beside_a_history_that_is_no_text_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr(plain_file, "MAX_WIDE_BYTES", 100)
    assert read(packed(video=begin + 300 * b"x", year=spotify([HEARD]))) == [LISTEN]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"7z\xbc\xaf\x27\x1c\0\4", "It is a 7z archive: unpack it"),
        (b"Rar!\x1a\x07\0", "It is a RAR archive: unpack it"),
        (b"\xfd7zXZ\0\0", "It is an xz file: unpack it"),
        (b"BZh91AY&SY", "It is a bzip2 file: unpack it"),
        (b" \n\n", "It is empty"),
    ],
)
def test_packed_in_another_way_is_told(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableHistoryError, match=words):
        read(data)


def test_a_packed_file_that_is_cut_or_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = gzip.compress(spotify([HEARD]) + 300_000 * b" ")
    assert read(data) == [LISTEN]
    for broken in (data[:-10], data[:20], b"\x1f\x8b" + 50 * b"x"):
        with pytest.raises(UnreadableHistoryError, match="can't be unpacked"):
            read(broken)
    monkeypatch.setattr(plain_file, "MAX_UNPACKED_BYTES", 100_000)
    with pytest.raises(UnreadableHistoryError, match="unpacks to more than"):
        read(data)


def test_an_archive_that_lacks_a_byte_is_refused() -> None:
    data = packed(a=spotify([HEARD]), b=b"[]")
    for place in range(4, len(data) - 22):
        with suppress(UnreadableHistoryError):
            assert read(data[:place] + data[place + 1 :]) == [LISTEN]
    with pytest.raises(UnreadableHistoryError, match="can't be unpacked"):
        read(data[:5] + data[6:])


def test_text_in_utf_16_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = "uts,artist,track\n".encode("utf-16")
    assert read(data) == []
    monkeypatch.setattr(plain_file, "MAX_WIDE_BYTES", 10)
    with pytest.raises(UnreadableHistoryError, match="save it as UTF-8"):
        read(data)
