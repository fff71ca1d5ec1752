"""What is known of listeners, so that whoever plays on needs no reading before the next write."""

from collections import OrderedDict

from msgspec import Struct

from songline.schemas.library import EntryDocument, SummaryDocument


class CachedLibrary(Struct):
    """A listener as he was under `etag`, that of his summary; None where he has none, and so nothing.

    Every write of a listener changes his summary. So what is here is as it is in the container, or a write under
    `etag` fails. `entries` are those that were looked at, None for one that is not there; `whole` says that there are
    no others, as of a listener who was new.
    """

    etag: str | None
    summary: SummaryDocument | None
    entries: dict[str, EntryDocument | None]
    whole: bool

    def unknown(self, songs: set[str]) -> list[str]:
        """Those of `songs` whose entries were not looked at yet."""
        return sorted(songs - self.entries.keys())


class LibraryCache:
    """The shelves that were used last, about `room` documents altogether."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._held = 0
        self._shelves: OrderedDict[str, tuple[CachedLibrary, int]] = OrderedDict()

    def get(self, user_id: str) -> CachedLibrary | None:
        found = self._shelves.get(user_id)
        return None if found is None else found[0]

    def put(self, user_id: str, shelf: CachedLibrary) -> None:
        """Keep the shelf, which was used just now, for as long as there is room."""
        self.drop(user_id)
        # A summary is as large as some ten entries.
        size = 10 + len(shelf.entries)
        self._shelves[user_id] = shelf, size
        self._held += size
        while self._held > self._room:
            _, (_, size) = self._shelves.popitem(last=False)
            self._held -= size

    def drop(self, user_id: str) -> None:
        _, size = self._shelves.pop(user_id, (None, 0))
        self._held -= size
