"""The documents of the listeners that were written last, so that their next write needs no read."""

from collections import OrderedDict

from msgspec import Struct

from songline.schemas.library.listener_documents import EntryDocument, SummaryDocument

_SUMMARY_WEIGHT = 10
"""A summary is as large as about so many entries."""


class CachedLibrary(Struct):
    """A listener's documents as of `etag`, the ETag of their summary; None where they have no documents.

    Every write of a listener replaces the summary. So either what is cached is what the container holds, or a write
    under `etag` fails. `entries` are those that were read, None for one that does not exist. `is_complete` says that
    there are no others, as for a listener who is new.
    """

    etag: str | None
    summary: SummaryDocument | None
    entries: dict[str, EntryDocument | None]
    is_complete: bool

    def unread(self, songs: set[str]) -> list[str]:
        """The songs of `songs` whose entries were not read yet, sorted."""
        return sorted(songs - self.entries.keys())


class LibraryCache:
    """The libraries that were used last, about `room` documents altogether."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._size = 0
        self._libraries: OrderedDict[str, tuple[CachedLibrary, int]] = OrderedDict()

    def find(self, user_id: str) -> CachedLibrary | None:
        """The listener's library, None where it is not cached."""
        found = self._libraries.get(user_id)
        return None if found is None else found[0]

    def put(self, user_id: str, library: CachedLibrary) -> None:
        """Keep the library as the one that was used last; evict what was not used for longest where room is short."""
        self.drop(user_id)
        size = _SUMMARY_WEIGHT + len(library.entries)
        self._libraries[user_id] = library, size
        self._size += size
        while self._size > self._room:
            _, (_, size) = self._libraries.popitem(last=False)
            self._size -= size

    def drop(self, user_id: str) -> None:
        """Forget the listener's library; nothing happens where it is not cached."""
        _, size = self._libraries.pop(user_id, (None, 0))
        self._size -= size
