"""Facts, in the past tense. They can't be refused once they are published.

`EVENTS` names each type on the wire. The name is logical (`songline.song.played`, version 1), never a class
path, so that a class can be moved and an unknown name is an error and not an import.
"""

from typing import TypeAlias

from msgspec import Struct

from songline.schemas.types import Device, DurationMs, Genre, Id, MediaType, Region, Sha256, Size, Text, Title


class SongPlayed(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A listener played a song, for `played_ms` of its `duration_ms`."""

    user_id: Id
    song_id: Id
    played_ms: DurationMs
    duration_ms: DurationMs
    region: Region
    device: Device | None = None


class SongLiked(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A listener liked a song. Without a region it counts in the global and genre charts only."""

    user_id: Id
    song_id: Id
    region: Region | None = None


class SongUnliked(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A listener took a like back."""

    user_id: Id
    song_id: Id
    region: Region | None = None


class SongUploaded(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song has become available. `user_id` is the uploader.

    Its audio is the blob `sha256` of the container `songs`, `size` bytes of the media type `content_type`.
    """

    user_id: Id
    song_id: Id
    title: Title
    artist: Title
    duration_ms: DurationMs
    genre: Genre | None = None
    album: Text | None = None
    sha256: Sha256 | None = None
    size: Size | None = None
    content_type: MediaType | None = None


class SongRemoved(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song has gone. `user_id` is the uploader."""

    user_id: Id
    song_id: Id


Payload: TypeAlias = SongPlayed | SongLiked | SongUnliked | SongUploaded | SongRemoved

EVENTS: dict[str, tuple[int, type[Payload]]] = {
    "songline.song.played": (1, SongPlayed),
    "songline.song.liked": (1, SongLiked),
    "songline.song.unliked": (1, SongUnliked),
    "songline.song.uploaded": (1, SongUploaded),
    "songline.song.removed": (1, SongRemoved),
}
"""Logical name to (today's version, payload type)."""

TYPE_NAMES: dict[type[Payload], str] = {payload: f"{name}.v{version}" for name, (version, payload) in EVENTS.items()}
"""Payload type to the `type` that it is written under."""
