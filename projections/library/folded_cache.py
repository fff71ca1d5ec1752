"""Libraries that were read last, folded, so that the pages of a list need not be read and folded anew each."""

from collections import OrderedDict

from songline.projections.library.path_read import SeenLibrary

CACHE_BYTES = 48 * 1024 * 1024

_SONG_BYTES = 320
"""About what a song takes: its sums, its id, and its places in lists."""

_OTHER_BYTES = 16_384
"""About what a library takes beside its songs: the last listens, the nodes that were seen."""


class FoldedCache:
    """The libraries that were used last, about `room_bytes` of them, and always the last one."""

    def __init__(self, room_bytes: int = CACHE_BYTES) -> None:
        self._room_bytes = room_bytes
        self._size_bytes = 0
        self._libraries: OrderedDict[tuple[str, str], SeenLibrary] = OrderedDict()

    def find(self, shelf: str, user_id: str) -> SeenLibrary | None:
        """The library of a listener in a shelf, None where it is not cached."""
        found = self._libraries.get((shelf, user_id))
        if found is not None:
            self._libraries.move_to_end((shelf, user_id))
        return found

    def put(self, shelf: str, user_id: str, library: SeenLibrary) -> None:
        """Keep the library as the one that was used last; drop those that were not used for longest."""
        before = self._libraries.pop((shelf, user_id), None)
        self._size_bytes += _size_bytes(library) - (0 if before is None else _size_bytes(before))
        self._libraries[shelf, user_id] = library
        while self._size_bytes > self._room_bytes and len(self._libraries) > 1:
            _, oldest = self._libraries.popitem(last=False)
            self._size_bytes -= _size_bytes(oldest)


def _size_bytes(library: SeenLibrary) -> int:
    """About how much memory a library takes."""
    return _OTHER_BYTES + _SONG_BYTES * len(library.lists.library.songs)
