"""What each format means: begin or end, seconds or milliseconds, local time or UTC, and which rows are no listens."""

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import fastavro
import pytest

from songline.processors.imports import archive_files
from songline.processors.imports.bounded import MAX_LINE_BYTES
from songline.processors.imports.history_file import read_history
from songline.processors.imports.rows import HistoryListen, ReadOptions, SkippedRow, UnreadableHistoryError
from songline.schemas.envelope import Event, encode
from songline.schemas.events import ListenImported, Payload, SongLiked, SongPlayed
from tests.support.histories import (
    Heard,
    lastfm_track,
    listenbrainz_row,
    pano,
    rockbox,
    spotify_row,
    youtube_html,
)

BEGAN_MS = 1_616_432_100_000
"""2021-03-22 16:55:00 UTC."""
HEARD = Heard(BEGAN_MS, "Paper Lanterns", "Benno Falk", "Harbour")


def read(data: bytes, zone: str = "UTC") -> list[HistoryListen | SkippedRow]:
    return [row for _, row in read_history(io.BytesIO(data), ReadOptions("user-7", ZoneInfo(zone)))]


def reasons(data: bytes) -> list[str]:
    return [row.reason if isinstance(row, SkippedRow) else "listen" for row in read(data)]


def one(data: bytes, zone: str = "UTC") -> HistoryListen:
    (row,) = read(data, zone)
    assert isinstance(row, HistoryListen), row
    return row


def lines(*rows: Mapping[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def spotify(*rows: Mapping[str, Any]) -> bytes:
    return json.dumps(rows).encode()


def test_a_stream_ends_at_its_moment() -> None:
    assert one(spotify(spotify_row(HEARD))).began_ms == BEGAN_MS


@pytest.mark.parametrize(
    ("offline", "moment", "began_ms"),
    [
        (True, BEGAN_MS // 1_000 - 7_200, BEGAN_MS - 7_200_000),
        (True, BEGAN_MS - 7_200_000, BEGAN_MS - 7_200_000),
        (True, None, BEGAN_MS),
        (True, 0, BEGAN_MS),
        (True, 1, BEGAN_MS),
        (True, BEGAN_MS + 900_000, BEGAN_MS),
        (False, BEGAN_MS - 7_200_000, BEGAN_MS),
    ],
)
def test_an_offline_stream_says_when_it_began(offline: bool, moment: int | None, began_ms: int) -> None:
    """In seconds or in milliseconds; not where it can't be."""
    assert one(spotify(spotify_row(HEARD, offline=offline, offline_timestamp=moment))).began_ms == began_ms


def test_streams_that_are_no_listens() -> None:
    nothing = {"master_metadata_track_name": None, "master_metadata_album_artist_name": None}
    rows = [
        spotify_row(HEARD, **nothing, episode_name="One", spotify_episode_uri="spotify:episode:x"),
        spotify_row(HEARD, **nothing, audiobook_title="A book"),
        spotify_row(HEARD, **nothing),
        spotify_row(HEARD, ms_played=29_999),
        spotify_row(HEARD, ms_played=30_000, skipped=True),
        spotify_row(HEARD, ts="1970-01-01T00:03:00Z"),
        spotify_row(HEARD, ts=None),
        {"ts": 4, "ms_played": [], "master_metadata_track_name": {}},
    ]
    expected = ["podcast", "podcast", "no-words", "too-short", "listen", "no-moment", "no-moment", "too-short"]
    assert reasons(spotify(*rows)) == expected


def test_small_history_tells_the_minute_of_the_end() -> None:
    row = {"endTime": "2021-03-22 16:58", "artistName": "Benno Falk", "trackName": "Lanterns", "msPlayed": 180_000}
    assert one(spotify(row)).began_ms == BEGAN_MS
    podcast = {"endTime": "2021-03-22 16:58", "podcastName": "A", "episodeName": "B", "msPlayed": 180_000}
    assert reasons(spotify(row, podcast, {**row, "msPlayed": 100})) == ["listen", "podcast", "too-short"]


def test_listenbrainz_rows() -> None:
    mapping = {
        "recording_mbid": "7b3e1b52-6c1f-4d20-9a53-111111111111",
        "artists": [
            {"artist_credit_name": "Benno Falk", "join_phrase": " & ", "artist_mbid": "x"},
            {"artist_credit_name": "Alba Reed", "join_phrase": "", "artist_mbid": "y"},
        ],
    }
    row = listenbrainz_row(HEARD, isrc="de-a12-34-56789")
    row["track_metadata"] |= {"mbid_mapping": mapping, "artist_name": "Benno Falk & Alba Reed"}
    found = one(lines(row))
    assert found.artists == ("Benno Falk", "Alba Reed")
    assert (found.recording_mbid, found.isrc) == (mapping["recording_mbid"], "DEA123456789")
    assert one(lines(listenbrainz_row(HEARD, artist_names=["A", "B"]))).artists == ("A", "B")
    assert one(json.dumps([row]).encode()) == found
    running = {"playing_now": True, "track_metadata": row["track_metadata"]}
    bad = {"listened_at": 0, "track_metadata": row["track_metadata"]}
    assert reasons(lines(row, running, bad, {"listened_at": 5})) == ["listen", "now-playing", "no-moment", "no-words"]
    assert reasons(lines(row) + b"{broken\n\n") == ["listen", "unreadable"]


def test_lengths_in_seconds_and_in_milliseconds() -> None:
    row = listenbrainz_row(HEARD)
    row["track_metadata"]["additional_info"] = {"duration": 201, "duration_played": 187}
    assert (one(lines(row)).duration_ms, one(lines(row)).played_ms) == (201_000, 187_000)
    row["track_metadata"]["additional_info"] = {"duration_ms": 201_000.0}
    assert one(lines(row)).duration_ms == 201_000
    row["track_metadata"]["additional_info"] = {"duration_ms": "201000"}
    assert one(lines(row)).duration_ms == 201_000


def test_lastfm_tables() -> None:
    bare = b'Benno Falk,Harbour,Paper Lanterns,"22 Mar 2021 16:55"\n'
    scrobble = HistoryListen(BEGAN_MS, "lastfm", "Paper Lanterns", ("Benno Falk",), "Harbour", precision_ms=60_000)
    assert one(bare) == scrobble
    head = b"uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\r\n"
    row = b'"1616432101","22 Mar 2021, 16:55","Benno Falk","","Harbour","","Paper ""Lanterns""",""\r\n'
    found = one(b"\xef\xbb\xbf" + head + row)
    assert (found.began_ms, found.title) == (BEGAN_MS + 1_000, 'Paper "Lanterns"')
    bad = [
        b'"0","01 Jan 1970, 00:00","Benno Falk","","","","Paper Lanterns",""\r\n',
        b'"","","Benno Falk","","","","Paper Lanterns",""\r\n',
        b'"1616432101","22 Mar 2021, 16:55","","","","","Paper Lanterns",""\r\n',
        b'"1616432101"\r\n',
        b'"' + MAX_LINE_BYTES * b"x" + b'"\r\n',
        b"\r\n",
        row,
    ]
    expected = ["no-moment", "no-moment", "no-words", "unreadable", "unreadable", "listen"]
    assert reasons(head + b"".join(bad)) == expected


@pytest.mark.parametrize(
    "shape",
    [
        lambda tracks: json.dumps({"recenttracks": {"track": tracks, "@attr": {"user": "alba"}}}).encode(),
        lambda tracks: json.dumps(tracks).encode(),
        lambda tracks: json.dumps([tracks[:1], tracks[1:]]).encode(),
        lambda tracks: lines(*tracks),
        lambda tracks: lines({"recenttracks": {"track": tracks}}, {"recenttracks": {"track": []}}),
    ],
)
def test_lastfm_json(shape: Any) -> None:
    track = lastfm_track(HEARD)
    running = {name: value for name, value in track.items() if name != "date"} | {"@attr": {"nowplaying": "true"}}
    assert reasons(shape([running, track, track | {"date": {"uts": "0"}}])) == ["now-playing", "listen", "no-moment"]


def test_maloja_has_artists_one_by_one() -> None:
    track = {"artists": ["Benno Falk", "Alba Reed"], "title": "Lanterns", "album": None, "length": None}
    rows = [
        {"time": BEGAN_MS // 1_000, "track": track, "duration": None, "origin": "client:x"},
        {"time": BEGAN_MS // 1_000, "track": track | {"artists": []}},
        {"time": BEGAN_MS // 1_000, "track": None},
    ]
    data = json.dumps({"maloja": {"export_time": 1}, "scrobbles": rows}).encode()
    listen, *others = read(data)
    assert listen == HistoryListen(BEGAN_MS, "maloja", "Lanterns", ("Benno Falk", "Alba Reed"))
    assert {other.reason for other in others if isinstance(other, SkippedRow)} == {"no-words"}
    assert read(b'{"scrobbles": []}') == []
    # Before version 3 `duration` was the length of the song, and not how long it was heard.
    former = {"time": BEGAN_MS // 1_000, "artists": ["Benno Falk"], "title": "Lanterns", "album": "H", "duration": 201}
    expected = HistoryListen(BEGAN_MS, "maloja", "Lanterns", ("Benno Falk",), "H", None, 201_000)
    assert one(json.dumps({"scrobbles": [former]}).encode()) == expected


def test_a_player_without_a_zone_has_local_times() -> None:
    local_ms = BEGAN_MS + 3_600_000
    log = rockbox([Heard(local_ms, "Lanterns", "Benno Falk")], zone="UNKNOWN")
    assert one(log, "Europe/Berlin").began_ms == BEGAN_MS
    assert one(log, "UTC").began_ms == local_ms
    assert one(rockbox([HEARD]), "Europe/Berlin").began_ms == BEGAN_MS


def test_rows_of_a_players_log() -> None:
    log = (
        "#AUDIOSCROBBLER/1.1\r\n#TZ/UTC\r\n#CLIENT/x\r\n"
        "Benno Falk\t\tLanterns\t\t201\tL\t1616432100\t7B3E1B52-6C1F-4D20-9A53-111111111111\r\n"
        "Benno Falk\tHarbour\tLanterns\t3\t201\tS\t1616432100\t\r\n"
        "<Untagged>\tHarbour\tLanterns\t3\t201\tL\t1616432100\t\r\n"
        "Benno Falk\tHarbour\tLanterns\t3\t201\tL\t0\t\r\n"
        "Benno Falk\tHarbour\tLanterns\t3\t201\tL\t86400\t\r\n"
        "junk\r\n# a comment\r\n"
    )
    assert reasons(log.encode()) == ["listen", "skipped", "no-words", "no-moment", "no-moment", "unreadable"]
    found = read(log.encode())[0]
    assert isinstance(found, HistoryListen)
    assert found.recording_mbid == "7b3e1b52-6c1f-4d20-9a53-111111111111"


def test_other_lines_of_pano() -> None:
    line = json.loads(pano([HEARD]))
    rows = [line, line | {"event": "love"}, line | {"event": "nowplaying"}, line | {"artist": "", "albumArtist": "A"}]
    assert reasons(lines(*rows)) == ["listen", "no-listen", "now-playing", "listen"]


def test_views_that_are_no_music() -> None:
    row = {
        "header": "YouTube Music",
        "title": "Watched Paper Lanterns",
        "subtitles": [{"name": "Benno Falk - Topic"}],
        "time": "2021-03-22T16:55:00.123Z",
    }
    gone = {name: value for name, value in row.items() if name != "subtitles"}
    rows = [row, row | {"header": "YouTube"}, gone, row | {"title": "Watched https://www.youtube.com/watch?v=x"}]
    assert reasons(json.dumps(rows).encode()) == ["listen", "no-music", "no-words", "no-words"]
    german = row | {"title": "Paper Lanterns angesehen"}
    for each in (row, german):
        found = one(json.dumps([each]).encode())
        assert (found.began_ms, found.title, found.artists) == (BEGAN_MS + 123, "Paper Lanterns", ("Benno Falk",))


def test_the_zone_of_a_page_is_read() -> None:
    page = youtube_html([HEARD]).decode()
    for zone, ahead_h in (("CET", 1), ("CEST", 2), ("GMT+05:30", 5.5), ("PDT", -7)):
        assert one(page.replace(" UTC<br>", f" {zone}<br>").encode()).began_ms == BEGAN_MS - ahead_h * 3_600_000
    # Where the first moment can't be read, none can, and the other form can.
    for written in ("22 Mar 2021, 16:55:03 XYZT", "2021. 3. 22. 오후 4:55:03 KST", "22 мар. 2021, 19:55:03 MSK"):
        other = re.sub(r"Mar \d+, \d+, [^<]+ UTC<br>", f"{written}<br>", page)
        with pytest.raises(UnreadableHistoryError, match="choose JSON as the format"):
            read(other.encode())
    both = page + re.sub(r"Mar \d+, \d+, [^<]+ UTC<br>", "soon<br>", page)
    assert reasons(both.encode()) == ["listen", "no-moment"]
    elsewhere = page.replace("YouTube Music<br>", "YouTube<br>").replace("//music.", "//www.")
    assert reasons(elsewhere.encode()) == ["no-music"]


def own(*facts: Payload) -> list[bytes]:
    return [
        encode(Event(id=f"e-{number}", source="/tests", time=HEARD.began, data=data))
        for number, data in enumerate(facts)
    ]


PLAYED = SongPlayed(user_id="user-7", song_id="song-1", played_ms=184_000, duration_ms=201_000)
IMPORTED = ListenImported(
    user_id="user-7", song_id="name:x", import_id="i", origin="maloja", title="Lanterns", artists=("A", "B")
)
FACTS = (
    PLAYED,
    IMPORTED,
    SongPlayed(user_id="user-8", song_id="song-1"),
    SongPlayed(user_id="user-7", song_id="song-1", played_ms=1_000, duration_ms=201_000),
    SongLiked(user_id="user-7", song_id="song-1"),
)
OWN_REASONS = ["listen", "listen", "other-listener", "too-short", "no-listen"]


def capture(bodies: Sequence[bytes | None]) -> bytes:
    schema = {
        "type": "record",
        "name": "EventData",
        "namespace": "Microsoft.ServiceBus.Messaging",
        "fields": [
            {"name": "SequenceNumber", "type": "long"},
            {"name": "Offset", "type": "string"},
            {"name": "EnqueuedTimeUtc", "type": "string"},
            {"name": "SystemProperties", "type": {"type": "map", "values": ["long", "double", "string", "bytes"]}},
            {"name": "Properties", "type": {"type": "map", "values": ["long", "double", "string", "bytes", "null"]}},
            {"name": "Body", "type": ["null", "bytes"]},
        ],
    }
    file = io.BytesIO()
    base = {"Offset": "0", "EnqueuedTimeUtc": "3/22/2021 4:55:00 PM", "SystemProperties": {}, "Properties": {}}
    fastavro.writer(file, schema, [base | {"SequenceNumber": at, "Body": body} for at, body in enumerate(bodies)])
    return file.getvalue()


def test_events_of_our_own() -> None:
    assert reasons(b"\n".join(own(*FACTS))) == OWN_REASONS
    assert reasons(capture([*own(*FACTS), None, b"junk"])) == [*OWN_REASONS, "unreadable", "unreadable"]
    assert reasons(capture([])) == []
    played, imported = read(b"\n".join(own(PLAYED, IMPORTED)))
    assert played == HistoryListen(BEGAN_MS, "songline", "", (), None, 184_000, 201_000, song_id="song-1")
    assert imported == HistoryListen(BEGAN_MS, "maloja", "Lanterns", ("A", "B"), song_id="name:x")


def packed(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "It is empty"),
        (b"hello", "no history that is known"),
        (b"<?xml version='1.0'?><!DOCTYPE plist><plist></plist>", "counts and no moments"),
        (spotify(spotify_row(HEARD))[:-20], "It is not the JSON"),
        (b'[{"ts":1,"ms_played":' + 100_000 * b"[", "It is not the JSON"),
        (packed(a=b"hello"), "an archive without a history"),
        (packed(a=b"hello")[:-30], "can't be opened"),
        (capture(own(PLAYED))[:-20], "can't be read"),
    ],
    # Their bytes are no names: an archive has the time of day in it.
    ids=["empty", "text", "plist", "cut", "deep", "other", "cut-zip", "cut-avro"],
)
def test_refusals_say_what_was_seen(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableHistoryError, match=words):
        read(data)


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(a=spotify(spotify_row(HEARD)) + 100_000 * b" ", b=b"hello" + 300_000 * b" ")
    assert reasons(data) == ["listen"]
    monkeypatch.setattr(archive_files, "MAX_UNPACKED_BYTES", 100_000)
    with pytest.raises(UnreadableHistoryError, match="unpacks to more"):
        read(data)


def test_one_giant_line_is_one_row() -> None:
    data = (
        lines(listenbrainz_row(HEARD))
        + b'{"listened_at":'
        + MAX_LINE_BYTES * b"1"
        + b"}\n"
        + lines(listenbrainz_row(HEARD))
    )
    assert reasons(data) == ["listen", "unreadable", "listen"]


def test_texts_are_cleaned_and_cut() -> None:
    found = one(
        lines(listenbrainz_row(Heard(BEGAN_MS, "a\u202e\nb" + 500 * "x", " \u200b ", None), artist_names=["A"]))
    )
    assert (found.title[:4], len(found.title)) == ("a bx", 300)
