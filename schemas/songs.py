"""A song as the read side serves it: the document of the container `songs`."""

from msgspec import Struct

from schemas.types import DurationMs, Genre, Id, MediaType, Moment, Sha256, Size, Text


class Song(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song that is available. Its audio is the blob `sha256` of the container `songs`, `size` bytes."""

    id: Id
    user_id: Id
    title: Text
    artist: Text
    duration_ms: DurationMs
    uploaded_at: Moment
    sha256: Sha256
    size: Size
    content_type: MediaType
    album: Text | None = None
    genre: Genre | None = None
