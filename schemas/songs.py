"""Songs as the read side keeps and serves them: the documents of the container `songs`.

A song's document holds what each partition of `music-events` said last about it. An uploader lives in one partition,
so there is nearly always one; where several spoke, the latest by event time holds, then the higher partition. Applying
the same fact again, or facts of several partitions in another order, makes the same document.
"""

from collections.abc import Mapping

from msgspec import Struct

from schemas.progress import Freshness
from schemas.types import DurationMs, Genre, Id, MediaType, Moment, Sha256, Size, Text


class Song(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song that is available. Its audio is the blob `sha256` of the container `songs`, `size` bytes.

    A song that was announced without its audio (by another system, or a simulator) has none to play.
    """

    id: Id
    user_id: Id
    title: Text
    artist: Text
    duration_ms: DurationMs
    uploaded_at: Moment
    album: Text | None = None
    genre: Genre | None = None
    sha256: Sha256 | None = None
    size: Size | None = None
    content_type: MediaType | None = None


class Fact(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a partition said last of a song: the event at `position` (its sequence number), of the moment `at`.

    Without a `song` it has gone.
    """

    position: int
    at: Moment
    song: Song | None = None


class SongDocument(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song, or what is left of one that has gone: `facts` by partition.

    What it is found by is there only while it is available: `order` puts the newest first, descending; `artist` and
    `words` (of title, artist and album) are folded as `schemas.search` does.
    """

    id: Id
    facts: dict[str, Fact]
    order: str | None = None
    artist: str | None = None
    genre: Genre | None = None
    words: tuple[str, ...] = ()

    @property
    def latest(self) -> Fact:
        return latest(self.facts)


def latest(facts: Mapping[str, Fact]) -> Fact:
    """The fact that holds."""
    return max(facts.items(), key=lambda said: (said[1].at, int(said[0])))[1]


class SongAnswer(Freshness, frozen=True, kw_only=True, rename="camel"):
    """A song, and how fresh the answer is."""

    song: Song


class SongsAnswer(Freshness, frozen=True, kw_only=True, rename="camel"):
    """A page of songs, the newest first. `next` is the cursor of the next page, None on the last one."""

    songs: tuple[Song, ...]
    next: str | None
