"""What ListenBrainz' API answers, of what a library holds. Pure.

A song has no id of MusicBrainz here. `recording_msid`, which ListenBrainz gives to words, is the song's id.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from songline.projections.songs.titles import Title
from songline.schemas.library.fold import FoldedSong, HeardListen

UNKNOWN_ARTIST = "Unknown artist"
_SECOND_US = 1_000_000

Titles = Mapping[str, Title | None]


def track_of(song_id: str, title: Title | None) -> dict[str, Any]:
    """The words of a song; its id where it has none any more: clients need a text."""
    return {
        "track_name": song_id if title is None else title.title,
        "artist_name": UNKNOWN_ARTIST if title is None else title.artist,
        "additional_info": {"recording_msid": song_id},
    }


def listens_answer(
    user_id: str, listens: Sequence[HeardListen], titles: Titles, latest_us: int | None, oldest_us: int | None
) -> dict[str, Any]:
    """Listens, newest first, with the moments of the listener's last and first one."""
    return {
        "payload": {
            "user_id": user_id,
            "count": len(listens),
            "latest_listen_ts": _seconds(latest_us),
            "oldest_listen_ts": _seconds(oldest_us),
            "listens": [_listen(user_id, listen, titles.get(listen[1])) for listen in listens],
        }
    }


def playing_answer(user_id: str, song_id: str | None, title: Title | None) -> dict[str, Any]:
    """The song that a listener plays, or none."""
    playing = [] if song_id is None else [{"playing_now": True, "track_metadata": track_of(song_id, title)}]
    return {"payload": {"user_id": user_id, "count": len(playing), "playing_now": True, "listens": playing}}


def feedback_answer(
    user_id: str, songs: Iterable[FoldedSong], titles: Titles | None, offset: int, total: int
) -> dict[str, Any]:
    """Songs that a listener likes, with their words where there are `titles`."""
    found = [_feedback(user_id, song, titles) for song in songs]
    return {"feedback": found, "count": len(found), "total_count": total, "offset": offset, "user_name": user_id}


def window_of(max_ts: int | None, min_ts: int | None) -> tuple[int | None, int | None]:
    """The microseconds from which on, and before which, listens are asked for: after `min_ts` and before `max_ts`,
    both seconds."""
    since_us = None if min_ts is None else (min_ts + 1) * _SECOND_US
    return since_us, None if max_ts is None else max_ts * _SECOND_US


def picked(listens: Sequence[HeardListen], count: int, *, is_upwards: bool) -> list[HeardListen]:
    """At most `count` of `listens`, which are oldest first, as newest first: the last ones, or with `is_upwards` the
    first ones, by which a client goes on from a moment that it knows."""
    some = listens[:count] if is_upwards else listens[max(0, len(listens) - count) :]
    return list(reversed(some))


def _listen(user_id: str, listen: HeardListen, title: Title | None) -> dict[str, Any]:
    at_us, song_id, ms_played = listen
    track = track_of(song_id, title)
    if ms_played >= 1_000:
        track["additional_info"]["duration_played"] = ms_played // 1_000
    return {
        "user_name": user_id,
        "listened_at": at_us // _SECOND_US,
        "recording_msid": song_id,
        "track_metadata": track,
    }


def _feedback(user_id: str, song: FoldedSong, titles: Titles | None) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "score": 1,
        "created": _seconds(song.liked_us),
        "recording_mbid": None,
        "recording_msid": song.song_id,
        "track_metadata": None if titles is None else track_of(song.song_id, titles.get(song.song_id)),
    }


def _seconds(at_us: int | None) -> int:
    return 0 if at_us is None else at_us // _SECOND_US


def is_current(started: datetime, lasts_s: float, now: datetime) -> bool:
    """Whether what began at `started` and lasts so long still plays."""
    return 0 <= (now - started).total_seconds() < lasts_s or started > now
