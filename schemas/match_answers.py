"""What the API answers about songs that are known by name only, and about what was said of them."""

from msgspec import Struct

from songline.schemas.progress import Freshness
from songline.schemas.types import Artists, Id, Moment, NameId, Text


class MatchAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was said of a name last: it is the song `songId`, or null where that was taken back. `title` and `artist`
    are the words of the name, null where nobody knows them. It holds for what the hub takes from `effectiveFrom` on,
    and at the next rebuild for what came before `saidAt` too."""

    as_of: Moment
    name: NameId
    title: Text | None
    artist: str | None
    song_id: Id | None
    said_at: Moment | None
    effective_from: Moment | None


class MatchesAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The names that are songs of the catalog, by their ids."""

    as_of: Moment
    matches: tuple[MatchAnswer, ...]


class NamedSong(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song that is known by name only: the words that it was first met under. `matched_with`: the song of the catalog
    that it is, where somebody said so."""

    id: NameId
    title: Text
    artist: str
    artists: Artists
    album: Text | None = None
    matched_with: Id | None = None


class NamedSongAnswer(Freshness, frozen=True, kw_only=True, rename="camel"):
    """A song that is known by name only, and how fresh the answer is."""

    song: NamedSong
