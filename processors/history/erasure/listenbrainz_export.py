"""A listener's listens as ListenBrainz exports them: an archive with a file of JSON lines a month."""

import zipfile
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from azure.cosmos.aio import DatabaseProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError
from msgspec import Struct

from songline.processors.history.erasure.job import HoldingPlace
from songline.processors.runtime import live_version
from songline.schemas.channels import LIBRARY, NAMES, PROJECTIONS, SONGS
from songline.schemas.decoding import convert
from songline.schemas.library.action import UserAction, moment_of
from songline.schemas.library.fold import HeardListen, fold_actions, heard_listens
from songline.schemas.projections import container_of
from songline.schemas.song_names import SongName, is_name_id, shard_of
from songline.schemas.songs import SongDocument

CLIENT = "songline"
_SECOND_US = 1_000_000


class ExportedSong(Struct, frozen=True):
    """What is written of a song."""

    title: str
    artists: tuple[str, ...]
    album: str | None = None
    duration_ms: int | None = None


def write_listenbrainz(
    file: Path, user_id: str, listens: Iterable[HeardListen], liked: Iterable[str], songs: Mapping[str, ExportedSong]
) -> int:
    """Write the archive, and return the number of listens in it. A song without words, which ListenBrainz needs, has
    its id as its title. Raises OSError."""
    count = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("user.json", msgspec.json.encode({"user_id": 1, "username": user_id}))
        for month, some in groupby(sorted(listens), lambda listen: moment_of(listen[0]).strftime("%Y/%m")):
            year, number = month.split("/")
            with archive.open(f"listens/{year}/{int(number)}.jsonl", "w") as lines:
                for listen in some:
                    lines.write(msgspec.json.encode(_row(listen, songs)) + b"\n")
                    count += 1
        feedback = b"".join(
            msgspec.json.encode({"recording_msid": song_id, "score": 1}) + b"\n" for song_id in sorted(liked)
        )
        archive.writestr("feedback.jsonl", feedback)
    return count


async def export_listenbrainz(database: DatabaseProxy, libraries: HoldingPlace, user_id: str, file: Path) -> int:
    """Write the listens of the live version of the listener's library to `file`; return their number. Raises OSError
    and the SDKs' errors."""
    projections = database.get_container_client(PROJECTIONS)
    live = container_of(LIBRARY, (await live_version.read(projections, LIBRARY)).version)
    actions = [
        UserAction(**{name: record.value[name] for name in UserAction._fields})
        async for record in libraries.held(user_id)
        if record.value.get("container") == live
    ]
    listens, folded = heard_listens(actions), fold_actions(actions)
    liked = [song.song_id for song in folded.songs if song.liked_us is not None]
    catalog = container_of(SONGS, (await live_version.read(projections, SONGS)).version)
    songs = {}
    for song_id in {song_id for _, song_id, _ in listens}:
        found = await _song(database, catalog, song_id)
        if found is not None:
            songs[song_id] = found
    return write_listenbrainz(file, user_id, listens, liked, songs)


async def _song(database: DatabaseProxy, catalog: str, song_id: str) -> ExportedSong | None:
    try:
        if is_name_id(song_id):
            item = await database.get_container_client(NAMES).read_item(song_id, shard_of(song_id))
            name = convert(dict(item), SongName)
            return ExportedSong(name.title, name.artists, name.album)
        item = await database.get_container_client(catalog).read_item(song_id, song_id)
    except CosmosResourceNotFoundError:
        return None
    song = convert(dict(item), SongDocument).song
    if song is None:
        return None
    return ExportedSong(song.title, song.artists or (song.artist,), song.album, song.duration_ms or None)


def _row(listen: HeardListen, songs: Mapping[str, ExportedSong]) -> dict[str, Any]:
    at_us, song_id, ms_played = listen
    song = songs.get(song_id) or ExportedSong(song_id, ("Unknown artist",))
    info: dict[str, Any] = {"submission_client": CLIENT, "artist_names": song.artists}
    if song.duration_ms is not None:
        info["duration_ms"] = song.duration_ms
    if ms_played >= 1_000:
        info["duration_played"] = ms_played // 1_000
    return {
        "listened_at": at_us // _SECOND_US,
        "track_metadata": {
            "artist_name": ", ".join(song.artists),
            "track_name": song.title,
            "release_name": song.album,
            "recording_msid": song_id,
            "additional_info": info,
            "mbid_mapping": None,
        },
    }
