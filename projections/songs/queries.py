"""Reads songs: one by its id, or those that a search finds, newest first."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from msgspec import Struct

from songline.projections.store import DocumentStore
from songline.schemas.genres import asked_genre
from songline.schemas.search import Alternatives, Term, artist_word, folded, genre_word, terms
from songline.schemas.songs import Song, SongDocument
from songline.schemas.types import Id

MAX_WORDS = 8
# Every order begins with a digit of its year.
_BEFORE_ALL = "~"
FOUND = "SELECT c.id, c.facts, c.order FROM c"
"""The columns of a search. Facts from other users than the owner are left out: they may be a hundred times as large."""
_BEGINS = "EXISTS(SELECT VALUE word FROM word IN c.words WHERE STARTSWITH(word, {name}))"
_IS = "ARRAY_CONTAINS(c.words, {name})"


class SongSearch(Struct, frozen=True, kw_only=True):
    """The conditions of a search; None matches any song. `after` is the order of the previous page's last song."""

    artist: str | None = None
    genre: str | None = None
    words: tuple[Alternatives, ...] = ()
    after: str | None = None


class SongCursorError(ValueError):
    """A text that is no cursor. The caller uses the one from the previous page, or none."""


class NoGenreError(ValueError):
    """A text that names no genre, or several."""


class SongGoneError(Exception):
    """The song was removed at the moment `at`, for good."""

    def __init__(self, song_id: str, at: datetime) -> None:
        super().__init__(f"song {song_id} was taken away at {at.isoformat()}")


def search(artist: str | None, genre: str | None, q: str | None, cursor: str | None) -> SongSearch:
    """The search for these parameters; each word of `q` begins a word of title, artist or album (see `schemas.search`).

    Raises SongCursorError and NoGenreError.
    """
    if genre is not None and asked_genre(genre) is None:
        raise NoGenreError(genre)
    return SongSearch(
        artist=artist,
        genre=None if genre is None else asked_genre(genre),
        words=() if q is None else terms(q),
        after=None if cursor is None else after(cursor),
    )


def query(search: SongSearch) -> tuple[str, list[dict[str, object]]]:
    """The search in Cosmos DB's SQL, and its parameters. Removed songs have no order, so they never match."""
    conditions = ["c.order < @after"]
    values: dict[str, object] = {"@after": search.after or _BEFORE_ALL}
    if search.artist is not None:
        conditions.append("(c.artist = @artist OR ARRAY_CONTAINS(c.words, @name))")
        values |= {"@artist": folded(search.artist), "@name": artist_word(search.artist)}
    if search.genre is not None:
        conditions.append("(c.genre = @genre OR ARRAY_CONTAINS(c.words, @among))")
        values |= {"@genre": search.genre, "@among": genre_word(search.genre)}
    conditions += [_one_of(choices, values) for choices in search.words]
    text = " ".join((FOUND, "WHERE", " AND ".join(conditions), "ORDER BY c.order DESC"))
    return text, [{"name": name, "value": value} for name, value in values.items()]


def _one_of(choices: Alternatives, values: dict[str, object]) -> str:
    """The condition that one of `choices` matches; its parameters are added to `values`."""
    options = [" AND ".join(_has(term, values) for term in choice) for choice in choices]
    return f"({' OR '.join(options)})"


def _has(term: Term, values: dict[str, object]) -> str:
    name = f"@word{len(values)}"
    values[name] = term.word
    return (_IS if term.whole else _BEGINS).format(name=name)


def cursor(order: str) -> str:
    """The cursor after the song of this order. It is opaque: clients must not rely on its content."""
    return urlsafe_b64encode(order.encode()).decode().rstrip("=")


def after(cursor: str) -> str:
    """The order that `cursor` holds; raises SongCursorError."""
    try:
        order = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
        datetime.fromisoformat(order.partition(" ")[0])
    except ValueError:
        raise SongCursorError(cursor) from None
    return order


async def song(store: DocumentStore, song_id: Id) -> Song | None:
    """The song with this id, None if there is none. Raises SongGoneError and StoreUnavailableError."""
    document = await store.read(song_id, song_id, SongDocument)
    latest = None if document is None else document.latest
    if latest is not None and latest.song is None:
        raise SongGoneError(song_id, latest.at)
    return None if latest is None else latest.song


async def page(store: DocumentStore, search: SongSearch, limit: int) -> tuple[tuple[Song, ...], str | None]:
    """At most `limit` songs that the search finds, and the cursor of the next page. Raises StoreUnavailableError.

    A song that is added or removed between two requests doesn't move other songs to another page.
    """
    text, parameters = query(search)
    found = await store.find(text, parameters, limit + 1, SongDocument)
    songs = tuple(song for document in found[:limit] if (song := document.song) is not None)
    last = found[limit - 1].order if len(found) > limit else None
    return songs, None if last is None else cursor(last)
