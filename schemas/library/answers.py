"""A listener's library as the read API serves it."""

from msgspec import Struct

from songline.schemas.progress import Freshness
from songline.schemas.types import DurationMs, Genre, Id, Moment, Text


class LibraryEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """A song in a listener's library. Title, artist and genre are None while the song is not in the catalog: its
    upload is not known yet, or it was taken away."""

    song_id: Id
    title: Text | None
    artist: Text | None
    genre: Genre | None
    plays: int
    ms_played: int
    first_played_at: Moment | None
    last_played_at: Moment | None
    liked: bool
    liked_at: Moment | None
    uploaded: bool
    uploaded_at: Moment | None


class RecentListen(Struct, frozen=True, kw_only=True, rename="camel"):
    """A listener heard a song at a moment, for so many milliseconds."""

    at: Moment
    song_id: Id
    title: Text | None
    artist: Text | None
    genre: Genre | None
    ms_played: DurationMs


class Library(Freshness, frozen=True, kw_only=True, rename="camel"):
    """A page of a listener's library. `next` is the cursor of the next page, None on the last one."""

    user_id: Id
    entries: list[LibraryEntry]
    next: str | None


class Recent(Freshness, frozen=True, kw_only=True, rename="camel"):
    """What a listener heard last, newest first."""

    user_id: Id
    listens: list[RecentListen]


class LibrarySummary(Freshness, frozen=True, kw_only=True, rename="camel"):
    """A listener's library in sum: `songs` were heard, `liked` are liked, `uploaded` were uploaded and not removed."""

    user_id: Id
    listens: int
    ms_played: int
    songs: int
    liked: int
    uploaded: int
    first_listen_at: Moment | None
    last_listen_at: Moment | None
