"""A cache of songs: titles and owners by id, read in batches from the catalog, and names of songs in no catalog."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import filterfalse
from typing import TypeVar

from msgspec import Struct

from songline.projections.songs.queries import FOUND
from songline.projections.store import DocumentStore
from songline.schemas.song_names import SongName, is_name_id
from songline.schemas.songs import SongDocument

T = TypeVar("T")

ROOM = 50_000
LASTS = 30.0
AT_ONCE = 100
_NAMES = "SELECT * FROM c"


class Title(Struct, frozen=True):
    """A song's title, artist and genre."""

    title: str
    artist: str
    genre: str | None


class CatalogSong(Struct, frozen=True):
    """A song in the catalog: its title while it is available, and its owner, also after its removal."""

    title: Title | None = None
    owner: str | None = None


_NEVER = (float("-inf"), None)


class TitleCache:
    """The catalog's songs, and with `names` those that are known by name only, cached for `lasts_s` seconds, at most
    ROOM of them. Missing songs are cached as well.

    `steady` returns monotonic seconds.
    """

    def __init__(
        self,
        songs: DocumentStore,
        steady: Callable[[], float] = time.monotonic,
        lasts_s: float = LASTS,
        names: DocumentStore | None = None,
    ) -> None:
        self._songs = songs
        self._names = names
        self._steady = steady
        self._lasts_s = lasts_s
        self._known: OrderedDict[str, tuple[float, CatalogSong]] = OrderedDict()

    def within(self, age_s: float) -> "TitleCache":
        """The same cache, whose songs were read `age_s` seconds ago at most."""
        if age_s >= self._lasts_s:
            return self
        same = TitleCache(self._songs, self._steady, age_s, self._names)
        same._known = self._known
        return same

    async def of(self, song_ids: Iterable[str]) -> dict[str, Title | None]:
        """The titles by song id; None for a song that is not available. Raises StoreUnavailableError."""
        return {song_id: known.title for song_id, known in (await self.known(song_ids)).items()}

    async def known(self, song_ids: Iterable[str]) -> dict[str, CatalogSong]:
        """The songs by id; an empty CatalogSong for an unknown one. Raises StoreUnavailableError."""
        first = self._steady() - self._lasts_s
        wanted = set(song_ids)
        missing = [song_id for song_id in sorted(wanted) if self._known.get(song_id, _NEVER)[0] <= first]
        found = {song_id: known[1] for song_id in wanted if (known := self._known.get(song_id)) is not None}
        for start in range(0, len(missing), AT_ONCE):
            found |= await self._read(missing[start : start + AT_ONCE])
        return found

    async def _read(self, song_ids: list[str]) -> dict[str, CatalogSong]:
        read_s = self._steady()
        found = dict.fromkeys(song_ids, CatalogSong())
        for document in await self._read_in(self._songs, FOUND, list(filterfalse(is_name_id, song_ids)), SongDocument):
            song = document.song
            title = None if song is None else Title(song.title, song.artist, song.genre)
            found[document.id] = CatalogSong(title, document.owner)
        for name in await self._read_in(self._names, _NAMES, list(filter(is_name_id, song_ids)), SongName):
            found[name.id] = CatalogSong(Title(name.title, ", ".join(name.artists), None))
        for song_id, known in found.items():
            self._known.pop(song_id, None)
            self._known[song_id] = read_s, known
        while len(self._known) > ROOM:
            self._known.popitem(last=False)
        return found

    async def _read_in(self, store: DocumentStore | None, columns: str, song_ids: list[str], kind: type[T]) -> list[T]:
        if store is None or not song_ids:
            return []
        names = [f"@song{number}" for number in range(len(song_ids))]
        return await store.find(
            " ".join((columns, "WHERE c.id IN (", ", ".join(names), ")")),
            [{"name": name, "value": song_id} for name, song_id in zip(names, song_ids, strict=True)],
            len(song_ids),
            kind,
        )
