"""The songs of one version of the catalog, with the cache of their titles."""

from collections import OrderedDict

from msgspec import Struct

from songline.projections.live_version import VersionedStores
from songline.projections.songs.titles import LASTS, TitleCache
from songline.projections.store import DocumentStore
from songline.schemas.channels import SONGS
from songline.schemas.durations import read_duration

CACHES = 2
"""The live version has a cache, and the one before, in which lists are still read on."""


class ServedSongs(Struct, frozen=True):
    """A version of the songs: its number, container and titles."""

    version: int
    store: DocumentStore
    titles: TitleCache

    def titles_within(self, max_staleness: str | None) -> TitleCache:
        """The titles, read no longer ago than `maxStaleness` allows, where a caller says that."""
        return self.titles.within(LASTS if max_staleness is None else read_duration(max_staleness).total_seconds())


class SongVersions:
    """The versions of the songs in `stores`; `names` has those that are known by name only."""

    def __init__(self, stores: VersionedStores, names: DocumentStore | None = None) -> None:
        self._stores = stores
        self._names = names
        self._titles: OrderedDict[int, TitleCache] = OrderedDict()

    async def live(self) -> ServedSongs:
        """The live version. Raises StoreUnavailableError."""
        return await self.of(None)

    async def of(self, version: int | None) -> ServedSongs:
        """A version of a list that is read on, or the live one for None. Raises as VersionedStores does."""
        found = await self._stores.of(SONGS, version)
        titles = self._titles.get(found.version)
        if titles is None:
            titles = self._titles[found.version] = TitleCache(found.store, names=self._names)
        self._titles.move_to_end(found.version)
        while len(self._titles) > CACHES:
            self._titles.popitem(last=False)
        return ServedSongs(found.version, found.store, titles)
