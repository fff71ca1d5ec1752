"""Reads listeners' libraries: sorted and paged lists, the last listens, the summary."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct, structs

from songline.projections.library.own_uploads import judged, strangers
from songline.projections.songs.titles import Title, TitleCache
from songline.projections.store import DocumentStore
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError
from songline.schemas.library.answers import Library, LibraryEntry, LibrarySummary, Recent, RecentListen
from songline.schemas.library.listener_documents import SUMMARY, EntryDocument, SummaryDocument
from songline.schemas.search import folded

Filter = Literal["liked", "played", "uploaded"]
Sort = Literal["recent", "plays", "title"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
SORTS: tuple[Sort, ...] = get_args(Sort)

MAX_LIMIT = 100
TITLE_LIMIT = 5_000
"""The most entries of a library that can be sorted by title: titles are the catalog's, so all entries are read."""

MORE = 1_000
"""Entries per further read, when many entries of the first one are filtered out."""

_cursors: Decoder[tuple[str, ...]] = Decoder(tuple[str, ...])
# Every order begins with a digit.
_BEFORE_ALL = "~"
_RECENT = {None: "byRecent", "played": "byRecent", "liked": "byLiked", "uploaded": "byUploaded"}
_IN = {
    None: "IS_DEFINED(c.byRecent)",
    "played": "c.plays > 0",
    "liked": "IS_DEFINED(c.byLiked)",
    "uploaded": "IS_DEFINED(c.byUploaded)",
}


class LibraryQuery(Struct, frozen=True):
    """A list of a library, and where to continue it: `after` is the sort key of the previous page's last entry."""

    filter: Filter | None
    sort: Sort
    after: tuple[str, ...] | None

    @property
    def field(self) -> str:
        """The field by which the list is sorted."""
        return {"recent": _RECENT[self.filter], "plays": "byPlays", "title": "title"}[self.sort]


class LibraryCursorError(ValueError):
    """A cursor that is invalid, or of a list with another sorting. The caller uses the previous page's, or none."""


class LibraryTooLargeError(Exception):
    """A library has too many songs to be sorted by title. The caller chooses another order."""


def library_query(filter: Filter | None, sort: Sort, cursor: str | None) -> LibraryQuery:  # noqa: A002  # as the API has it
    """The query for these parameters; raises LibraryCursorError."""
    first = LibraryQuery(filter, sort, None)
    return first if cursor is None else LibraryQuery(filter, sort, _after(first.field, cursor))


def cursor(field: str, *place: str) -> str:
    """The cursor after `place` in the list sorted by `field`. It is opaque: clients must not rely on its content."""
    return urlsafe_b64encode(msgspec.json.encode([field, *place])).decode().rstrip("=")


def _after(field: str, cursor: str) -> tuple[str, ...]:
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        of, *place = _cursors.decode(text)
    except (ValueError, PoisonError):
        raise LibraryCursorError(cursor) from None
    if of != field or len(place) != (3 if field == "title" else 1):
        raise LibraryCursorError(cursor)
    return tuple(place)


def query(asked: LibraryQuery) -> tuple[str, list[dict[str, object]]]:
    """The list in Cosmos DB's SQL for one listener's partition, and its parameters. A list by title is unsorted."""
    if asked.sort == "title":
        return " ".join(("SELECT * FROM c WHERE", _IN[asked.filter])), []
    field = f"c.{asked.field}"
    text = " ".join(("SELECT * FROM c WHERE", field, "< @after AND", _IN[asked.filter], "ORDER BY", field, "DESC"))
    return text, [{"name": "@after", "value": _BEFORE_ALL if asked.after is None else asked.after[0]}]


async def page(
    store: DocumentStore, titles: TitleCache, user_id: str, asked: LibraryQuery, limit: int, fresh: dict[str, Any]
) -> Library:
    """At most `limit` entries of a list. `fresh` has the fields of Freshness, read before.

    Raises LibraryTooLargeError and StoreUnavailableError.
    """
    text, parameters = query(asked)
    if asked.sort == "title":
        found = await store.find_within(user_id, text, parameters, TITLE_LIMIT + 1, EntryDocument)
        if len(found) > TITLE_LIMIT:
            raise LibraryTooLargeError(f"the library of {user_id} has more than {TITLE_LIMIT} songs of this kind")
        known = await titles.known(entry.song_id for entry in found)
        names = {song_id: each.title for song_id, each in known.items()}
        found = judged(found, known, asked.filter == "uploaded")
        found = sorted(found, key=lambda entry: _place(entry, names))
        if asked.after is not None:
            found = [entry for entry in found if _place(entry, names) > asked.after]
    else:
        found = await _following(store, titles, user_id, asked, limit + 1)
        names = await titles.of(entry.song_id for entry in found[:limit])
    following = None
    if len(found) > limit:
        last = found[limit - 1]
        place = _place(last, names) if asked.sort == "title" else (str(_order(last, asked.field)),)
        following = cursor(asked.field, *place)
    entries = [_entry(entry, names[entry.song_id]) for entry in found[:limit]]
    return Library(user_id=user_id, entries=entries, next=following, **fresh)


async def _following(
    store: DocumentStore, titles: TitleCache, user_id: str, asked: LibraryQuery, limit: int
) -> list[EntryDocument]:
    """The next `limit` entries of a sorted list, without uploads of songs that another user owns."""
    found: list[EntryDocument] = []
    size = limit
    while True:
        text, parameters = query(asked)
        some = await store.find_within(user_id, text, parameters, size, EntryDocument)
        known = await titles.known(entry.song_id for entry in some if entry.uploads)
        found += judged(some, known, asked.filter == "uploaded")
        if len(found) >= limit or len(some) < size:
            return found[:limit]
        asked = structs.replace(asked, after=(str(_order(some[-1], asked.field)),))
        size = MORE


async def recent(store: DocumentStore, titles: TitleCache, user_id: str, limit: int, fresh: dict[str, Any]) -> Recent:
    """The last `limit` listens, newest first. Raises StoreUnavailableError."""
    summary = await _summary(store, user_id)
    listens = summary.recent[:limit]
    names = await titles.of(listen.song_id for listen in listens)
    return Recent(
        user_id=user_id,
        listens=[
            RecentListen(
                at=listen.at, song_id=listen.song_id, ms_played=listen.ms_played, **_called(names[listen.song_id])
            )
            for listen in listens
        ],
        **fresh,
    )


async def summary(store: DocumentStore, titles: TitleCache, user_id: str, fresh: dict[str, Any]) -> LibrarySummary:
    """The summary of a library. Raises StoreUnavailableError."""
    found = await _summary(store, user_id)
    others = await strangers(store, titles, user_id) if found.uploaded else 0
    return LibrarySummary(
        user_id=user_id,
        listens=found.listens,
        ms_played=found.ms_played,
        songs=found.songs,
        liked=found.liked,
        uploaded=max(0, found.uploaded - others),
        first_listen_at=found.first_listen_at,
        last_listen_at=found.last_listen_at,
        **fresh,
    )


async def _summary(store: DocumentStore, user_id: str) -> SummaryDocument:
    """The stored summary; an empty one for a listener without events."""
    found = await store.read(SUMMARY, user_id, SummaryDocument)
    return SummaryDocument(id=SUMMARY, user_id=user_id) if found is None else found


def _entry(entry: EntryDocument, title: Title | None) -> LibraryEntry:
    return LibraryEntry(
        song_id=entry.song_id,
        plays=entry.plays,
        ms_played=entry.ms_played,
        first_played_at=entry.first_played_at,
        last_played_at=entry.last_played_at,
        liked=entry.liked_at is not None,
        liked_at=entry.liked_at,
        uploaded=entry.uploaded_at is not None,
        uploaded_at=entry.uploaded_at,
        **_called(title),
    )


def _called(title: Title | None) -> dict[str, Any]:
    if title is None:
        return {"title": None, "artist": None, "genre": None}
    return {"title": title.title, "artist": title.artist, "genre": title.genre}


def _place(entry: EntryDocument, names: dict[str, Title | None]) -> tuple[str, str, str]:
    """The sort key by title. Songs without a title come last."""
    title = names[entry.song_id]
    return ("1", "", entry.song_id) if title is None else ("0", folded(title.title), entry.song_id)


def _order(entry: EntryDocument, field: str) -> str | None:
    orders = {
        "byRecent": entry.by_recent,
        "byPlays": entry.by_plays,
        "byLiked": entry.by_liked,
        "byUploaded": entry.by_uploaded,
    }
    return orders[field]
