"""Facts, in the past tense. They can't be refused once they are published.

`EVENTS` names each type on the wire. The name is logical (`songline.song.played`, version 1), never a class
path, so that a class can be moved and an unknown name is an error and not an import.
"""

from typing import TypeAlias

from msgspec import Struct

from songline.schemas.types import (
    Artists,
    Device,
    DurationMs,
    Genre,
    Genres,
    HeardMs,
    Id,
    Isrc,
    Mbid,
    MediaType,
    NameId,
    Origin,
    OwnedId,
    Region,
    Sha256,
    Size,
    Text,
    Title,
)


class SongPlayed(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A listener played a song, for `played_ms` of its `duration_ms`.

    Where `played_ms` is missing, the sender says that it was a listen, and not how long it took, as players do that
    scrobble. Without a region it counts in the global and genre charts only.
    """

    user_id: Id
    song_id: Id
    played_ms: DurationMs | None = None
    duration_ms: DurationMs | None = None
    region: Region | None = None
    device: Device | None = None


class SongPlayedV1(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A listener played a song, for `played_ms` of its `duration_ms`: the first version, which senders may still use.

    A `duration_ms` of 0 is that of a song whose length the sender does not know.
    """

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
    """A song has become available. `user_id` is the uploader. Nobody uploads a song that is known by name only.

    `artist` is what is shown; where it names several, `artists` has each of them. `genre` is the first of `genres`.

    Its audio is the blob `sha256` of the container `songs`, `size` bytes of the media type `content_type`.
    """

    user_id: Id
    song_id: OwnedId
    title: Title
    artist: Title
    duration_ms: DurationMs
    genre: Genre | None = None
    album: Text | None = None
    sha256: Sha256 | None = None
    size: Size | None = None
    content_type: MediaType | None = None
    artists: Artists | None = None
    genres: Genres | None = None


class SongRemoved(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song has gone. `user_id` is the uploader."""

    user_id: Id
    song_id: OwnedId


class ListenImported(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A listener brought along a listen from somewhere else (`origin`, such as `spotify`). The event's time is when the
    listen began. Libraries have it, charts never do.

    All listens of one import have its `import_id`, so that it can be undone whole. `title`, `artists` and `album` are
    the words of the origin, and `song_id` is the song that they were matched with: one of the catalog, or `name:` and
    more for a song that is known by name only. `played_ms` is missing where the origin does not tell it. With
    `precision_ms` the listen began at the event's time, or less than so many milliseconds after it.
    """

    user_id: Id
    song_id: Id
    import_id: Id
    origin: Origin
    title: Title
    artists: Artists
    album: Text | None = None
    played_ms: HeardMs | None = None
    duration_ms: DurationMs | None = None
    recording_mbid: Mbid | None = None
    isrc: Isrc | None = None
    precision_ms: HeardMs | None = None


class ImportUndone(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A listener took an import back: none of its listens is in their library any more, whenever it comes."""

    user_id: Id
    import_id: Id

    @property
    def song_id(self) -> str:
        """Empty: it is about no single song."""
        return ""


class NameMatched(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song that was known by `name` only is the song `song_id` of the catalog: `user_id` says so. What listeners do
    with the name from then on counts for that song, and what they did before does so from the next rebuild on."""

    user_id: Id
    name: NameId
    song_id: OwnedId


class NameUnmatched(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What was said of `name` by a NameMatched does not hold any more: it is a song that is known by name only."""

    user_id: Id
    name: NameId

    @property
    def song_id(self) -> str:
        """The name: it is about no song of the catalog."""
        return self.name


Payload: TypeAlias = (
    SongPlayed
    | SongLiked
    | SongUnliked
    | SongUploaded
    | SongRemoved
    | ListenImported
    | ImportUndone
    | NameMatched
    | NameUnmatched
)
FormerPayload: TypeAlias = SongPlayedV1

EVENTS: dict[str, tuple[int, type[Payload]]] = {
    "songline.song.played": (2, SongPlayed),
    "songline.song.liked": (1, SongLiked),
    "songline.song.unliked": (1, SongUnliked),
    "songline.song.uploaded": (1, SongUploaded),
    "songline.song.removed": (1, SongRemoved),
    "songline.listen.imported": (1, ListenImported),
    "songline.import.undone": (1, ImportUndone),
    "songline.name.matched": (1, NameMatched),
    "songline.name.unmatched": (1, NameUnmatched),
}
"""Logical name to (today's version, payload type)."""

TYPE_NAMES: dict[type[Payload], str] = {payload: f"{name}.v{version}" for name, (version, payload) in EVENTS.items()}
"""Payload type to the `type` that it is written under."""

FORMER_EVENTS: dict[tuple[str, int], type[FormerPayload]] = {("songline.song.played", 1): SongPlayedV1}
"""(logical name, older version) to the type of its data. Senders may still use these versions, and `schemas.upcasts`
brings their data to today's."""

ACCEPTED_TYPES = (*TYPE_NAMES.values(), *(f"{name}.v{version}" for name, version in FORMER_EVENTS))
"""Every `type` that an event may have: today's versions, then the older ones."""
