"""Odd but valid files, as services, players and programs for tables write them: each is read as it is meant."""

import io
import json
import zipfile
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from songline.processors.imports.history_file import read_history
from songline.processors.imports.rows import HistoryListen, ReadOptions
from tests.support.histories import Heard, listenbrainz_row, spotify, spotify_row, spotify_year

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
        for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
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
    "youtube: a search, an advertisement": (
        document(
            [
                youtube_view("Searched for lanterns", titleUrl="https://music.youtube.com/search?q=lanterns"),
                youtube_view("Watched Paper Lanterns", details=[{"name": "From Google Ads"}]),
            ]
        ),
        ["no-listen", "no-music"],
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
