"""Histories in the formats that other programs export, written from listens: the readers are held against these."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from msgspec import Struct

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Heard(Struct, frozen=True):
    """A listen that a history is to tell. `began_ms`: Unix milliseconds."""

    began_ms: int
    title: str
    artist: str
    album: str | None = None
    played_ms: int = 180_000
    duration_ms: int = 200_000

    @property
    def began(self) -> datetime:
        return EPOCH + timedelta(milliseconds=self.began_ms)

    @property
    def ended(self) -> datetime:
        return self.began + timedelta(milliseconds=self.played_ms)

    @property
    def began_s(self) -> int:
        return self.began_ms // 1_000


def listenbrainz_row(heard: Heard, **more: Any) -> dict[str, Any]:
    words = {
        "artist_name": heard.artist,
        "track_name": heard.title,
        "release_name": heard.album,
        "recording_msid": "7b3e1b52-6c1f-4d20-9a53-111111111111",
        "additional_info": {"duration_ms": heard.duration_ms, "submission_client": "x", **more},
        "mbid_mapping": None,
    }
    return {"listened_at": heard.began_s, "inserted_at": heard.began_s + 201.53, "track_metadata": words}


def listenbrainz(history: Sequence[Heard]) -> bytes:
    """An export: an archive with a file a month, and files that hold no listens."""
    months: dict[str, list[bytes]] = {}
    for heard in history:
        month = f"listens/{heard.began:%Y/%m}.jsonl".replace("/0", "/")
        months.setdefault(month, []).append(json.dumps(listenbrainz_row(heard)).encode() + b"\n")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("user.json", '{"user_id":7,"username":"alba"}')
        for name, lines in months.items():
            archive.writestr(name, b"".join(lines))
        archive.writestr("feedback.jsonl", '{"recording_msid":"x","score":1,"created":1795828500}\n')
        archive.writestr("pinned_recording.jsonl", "")
    return packed.getvalue()


def spotify_row(heard: Heard, **more: Any) -> dict[str, Any]:
    return {
        "ts": f"{heard.ended:%Y-%m-%dT%H:%M:%SZ}",
        "platform": "android",
        "ms_played": heard.played_ms,
        "conn_country": "DE",
        "ip_addr": "203.0.113.9",
        "master_metadata_track_name": heard.title,
        "master_metadata_album_artist_name": heard.artist,
        "master_metadata_album_album_name": heard.album,
        "spotify_track_uri": "spotify:track:4uLU6hMCjMI75M1A2tKUQC",
        "episode_name": None,
        "episode_show_name": None,
        "spotify_episode_uri": None,
        "audiobook_title": None,
        "reason_start": "trackdone",
        "reason_end": "fwdbtn",
        "shuffle": False,
        "skipped": None,
        "offline": False,
        "offline_timestamp": None,
        "incognito_mode": False,
        **more,
    }


def spotify(history: Sequence[Heard]) -> bytes:
    return json.dumps([spotify_row(heard) for heard in history]).encode()


def spotify_year(history: Sequence[Heard]) -> bytes:
    rows = [
        {
            "endTime": f"{heard.ended:%Y-%m-%d %H:%M}",
            "artistName": heard.artist,
            "trackName": heard.title,
            "msPlayed": heard.played_ms,
        }
        for heard in history
    ]
    return json.dumps(rows, indent=2).encode()


def _csv(rows: Sequence[Sequence[object]], quoting: Any = csv.QUOTE_MINIMAL, end: str = "\r\n") -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=quoting, lineterminator=end).writerows(rows)
    return text.getvalue().encode()


def lastfm_bare(history: Sequence[Heard]) -> bytes:
    rows = [(heard.artist, heard.album or "", heard.title, f"{heard.began:%d %b %Y %H:%M}") for heard in history]
    return _csv(rows, end="\n")


def lastfm_table(history: Sequence[Heard]) -> bytes:
    names = ("uts", "utc_time", "artist", "artist_mbid", "album", "album_mbid", "track", "track_mbid")
    rows = [
        (heard.began_s, f"{heard.began:%d %b %Y, %H:%M}", heard.artist, "", heard.album or "", "", heard.title, "")
        for heard in history
    ]
    return _csv([names], end="\n") + _csv(rows, csv.QUOTE_ALL)


def lastfm_track(heard: Heard) -> dict[str, Any]:
    return {
        "artist": {"mbid": "", "#text": heard.artist},
        "streamable": "0",
        "mbid": "",
        "album": {"mbid": "", "#text": heard.album or ""},
        "name": heard.title,
        "date": {"uts": str(heard.began_s), "#text": f"{heard.began:%d %b %Y, %H:%M}"},
    }


def lastfm_json(history: Sequence[Heard]) -> bytes:
    return json.dumps({"recenttracks": {"track": [lastfm_track(heard) for heard in history], "@attr": {}}}).encode()


def maloja(history: Sequence[Heard]) -> bytes:
    rows = [
        {
            "time": heard.began_s,
            "track": {
                "artists": [heard.artist],
                "title": heard.title,
                "album": {"albumtitle": heard.album, "artists": [heard.artist]} if heard.album else None,
                "length": heard.duration_ms // 1_000,
            },
            "duration": heard.played_ms // 1_000,
            "origin": "client:x",
        }
        for heard in history
    ]
    return json.dumps({"scrobbles": rows}).encode()


def rockbox(history: Sequence[Heard], zone: str = "UTC") -> bytes:
    lines = ["#AUDIOSCROBBLER/1.1", f"#TZ/{zone}", "#CLIENT/Rockbox ipodvideo $Revision$"]
    lines += [
        "\t".join((heard.artist, heard.album or "", heard.title, "3", str(heard.duration_ms // 1_000), "L"))
        + f"\t{heard.began_s}\t"
        for heard in history
    ]
    return ("\n".join(lines) + "\n").encode()


def pano(history: Sequence[Heard]) -> bytes:
    rows = [
        {
            "timeMs": heard.began_ms,
            "track": heard.title,
            "artist": heard.artist,
            "album": heard.album,
            "albumArtist": None,
            "durationMs": heard.duration_ms,
            "mediaPlayerName": "x",
            "event": "scrobble",
        }
        for heard in history
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def youtube(history: Sequence[Heard]) -> bytes:
    rows = [
        {
            "header": "YouTube Music",
            "title": f"Watched {heard.title}",
            "titleUrl": "https://music.youtube.com/watch?v=x",
            "subtitles": [{"name": f"{heard.artist} - Topic", "url": "https://www.youtube.com/channel/x"}],
            "time": f"{heard.began:%Y-%m-%dT%H:%M:%S}.{heard.began_ms % 1_000:03}Z",
            "products": ["YouTube"],
        }
        for heard in history
    ]
    return json.dumps(rows).encode()


def youtube_html(history: Sequence[Heard]) -> bytes:
    cell = "content-cell mdl-cell mdl-cell--6-col mdl-typography--body-1"
    blocks = [
        '<div class="outer-cell mdl-cell mdl-cell--12-col mdl-shadow--2dp"><div class="mdl-grid">'
        '<div class="header-cell mdl-cell"><p class="mdl-typography--title">YouTube Music<br></p></div>'
        f'<div class="{cell}">Watched\xa0<a href="https://music.youtube.com/watch?v=x">{escape(heard.title)}</a><br>'
        f'<a href="https://www.youtube.com/channel/x">{escape(heard.artist)} - Topic</a><br>'
        f"{heard.began:%b} {heard.began.day}, {heard.began:%Y, %I:%M:%S}\u202f{heard.began:%p} UTC<br></div>"
        f'<div class="{cell} mdl-typography--text-right"></div>'
        '<div class="content-cell mdl-cell mdl-cell--12-col mdl-typography--caption"><b>Products:</b><br>&emsp;YouTube'
        "<br></div></div></div>"
        for heard in history
    ]
    page = f'<html><head><title>My Activity</title></head><body><div class="mdl-grid">{"".join(blocks)}</div></body>'
    return page.encode()


WRITERS: dict[str, Callable[[Sequence[Heard]], bytes]] = {
    "listenbrainz": listenbrainz,
    "spotify": spotify,
    "spotify-year": spotify_year,
    "lastfm-csv": lastfm_table,
    "lastfm-csv-bare": lastfm_bare,
    "lastfm-json": lastfm_json,
    "maloja": maloja,
    "rockbox": rockbox,
    "pano": pano,
    "youtube-music": youtube,
    "youtube-music-html": youtube_html,
}
"""A writer by format; `lastfm-csv-bare` is the form of it that has no header."""
