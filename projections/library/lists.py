"""The lists of a library: which songs are in one, in which order, and the cursors of its pages. Pure."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError
from songline.schemas.library.action import microseconds, moment_of
from songline.schemas.library.fold import FoldedLibrary, FoldedSong

Filter = Literal["liked", "played", "uploaded"]
Sort = Literal["recent", "plays", "title"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
SORTS: tuple[Sort, ...] = get_args(Sort)

Key = tuple[int, str]
"""What a list is sorted by, descending: a number (microseconds since 1970, or plays), then the song's id."""

TitleKey = tuple[str, str, str]
"""What a list by title is sorted by, ascending: "0", or "1" for a song without a title, the folded title, the id."""

_RECENT = {None: "byRecent", "played": "byRecent", "liked": "byLiked", "uploaded": "byUploaded"}
_NUMBERS: dict[str, Callable[[FoldedSong], int | None]] = {
    "byRecent": lambda song: song.recent_us,
    "byPlays": lambda song: song.plays,
    "byLiked": lambda song: song.liked_us,
    "byUploaded": lambda song: song.uploaded_us,
}

_cursors: Decoder[tuple[str, ...]] = Decoder(tuple[str, ...])
_PLAYS = re.compile(r"[0-9]{1,18}", re.ASCII)


class LibraryCursorError(ValueError):
    """A cursor that is invalid, or of a list with another sorting. The caller uses the previous page's, or none."""


class LibraryQuery(Struct, frozen=True):
    """A list of a library, and where to continue it: after the entry with the key `after`, or `after_title` in a list
    by title; None for the first page."""

    filter: Filter | None
    sort: Sort
    after: Key | None = None
    after_title: TitleKey | None = None

    @property
    def field(self) -> str:
        """The name of the order in cursors."""
        return {"recent": _RECENT[self.filter], "plays": "byPlays", "title": "title"}[self.sort]


class LibraryLists:
    """A library, and its lists as far as they were asked for."""

    def __init__(self, library: FoldedLibrary) -> None:
        self.library = library
        self._lists: dict[tuple[Filter | None, Sort], list[FoldedSong]] = {}

    def following(self, query: LibraryQuery) -> Iterator[FoldedSong]:
        """The songs of a list after the place where the query continues, in the list's order.

        A list by title is in no order, and begins with its first song: titles are not of the library.
        """
        listed = self._list(query)
        if query.sort == "title":
            return iter(listed)
        key = _key(query.field)
        end = len(listed) if query.after is None else bisect_left(listed, query.after, key=key)
        return (listed[place] for place in range(end - 1, -1, -1))

    def _list(self, query: LibraryQuery) -> list[FoldedSong]:
        """The songs of the list, in the order opposite to the list's."""
        which = query.filter, query.sort
        if which not in self._lists:
            found = [song for song in self.library.songs if _is_in(song, query.filter)]
            if query.sort != "title":
                found.sort(key=_key(query.field))
            self._lists[which] = found
        return self._lists[which]


def library_query(filter: Filter | None, sort: Sort, cursor: str | None) -> LibraryQuery:  # noqa: A002  # as the API has it
    """The query for these parameters; raises LibraryCursorError."""
    first = LibraryQuery(filter, sort)
    if cursor is None:
        return first
    place = _place(first.field, cursor)
    if sort == "title":
        match place:
            case (which, title, song_id):
                return LibraryQuery(filter, sort, after_title=(which, title, song_id))
    elif len(place) == 1:
        return LibraryQuery(filter, sort, after=_parsed(first.field, place[0], cursor))
    raise LibraryCursorError(cursor)


def cursor_after(query: LibraryQuery, song: FoldedSong) -> str:
    """The cursor of the page after `song`, in a list that is not by title."""
    number, song_id = _key(query.field)(song)
    text = f"{number:010}" if query.sort == "plays" else moment_of(number).isoformat(timespec="microseconds")
    return _cursor(query.field, f"{text} {song_id}")


def cursor_after_title(place: TitleKey) -> str:
    """The cursor of the page after `place` in a list by title."""
    return _cursor("title", *place)


def _cursor(field: str, *place: str) -> str:
    """A cursor is opaque: clients must not rely on its content."""
    return urlsafe_b64encode(msgspec.json.encode([field, *place])).decode().rstrip("=")


def _place(field: str, cursor: str) -> list[str]:
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        of, *place = _cursors.decode(text)
    except (ValueError, PoisonError):
        raise LibraryCursorError(cursor) from None
    if of != field:
        raise LibraryCursorError(cursor)
    return place


def _parsed(field: str, place: str, cursor: str) -> Key:
    """The key in a cursor's text: a moment or a number of plays, a space, and the song's id."""
    text, _, song_id = place.partition(" ")
    if field == "byPlays":
        if not _PLAYS.fullmatch(text):
            raise LibraryCursorError(cursor)
        return int(text), song_id
    try:
        return microseconds(datetime.fromisoformat(text)), song_id
    except (ValueError, TypeError):
        # A moment without an offset can't be compared with one that has one.
        raise LibraryCursorError(cursor) from None


def _is_in(song: FoldedSong, filter: Filter | None) -> bool:  # noqa: A002  # as the API has it
    match filter:
        case None:
            return True
        case "played":
            return song.plays > 0
        case "liked":
            return song.liked_us is not None
        case "uploaded":
            return song.uploaded_us is not None


def _key(field: str) -> Callable[[FoldedSong], Key]:
    number_of = _NUMBERS[field]

    def key(song: FoldedSong) -> Key:
        number = number_of(song)
        assert number is not None, f"a song without {field} is in no list that is sorted by it"
        return number, song.song_id

    return key
