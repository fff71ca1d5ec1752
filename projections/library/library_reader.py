"""Reads listeners' libraries from the container of shelves."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from songline.projections.freshness import read_watermarks
from songline.projections.library.folded_cache import FoldedCache
from songline.projections.library.lists import LibraryLists
from songline.projections.library.path_read import PathRead, ReadRoot, SeenLibrary, letters_in, node_kind
from songline.projections.live_version import ServedVersion
from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.library.action_run import RunFormatError
from songline.schemas.library.fold import HeardListen, fold_actions, fold_window, heard_listens
from songline.schemas.library.node import TreeDocument
from songline.schemas.library.shelf import ROOT, shelf_key, shelf_of
from songline.schemas.progress import PROGRESS, Watermark, WatermarkDocument

T = TypeVar("T")

PATIENCE_S = 10.0
PAUSE_S = 0.02
LONGEST_PAUSE_S = 1.0
"""Before a node is read again that has not received yet what its parent pushed; each pause is twice the one before."""

SMALL_LETTERS = 200_000
"""So many letters of runs are decoded, and folded, within some milliseconds. More of them get a thread."""

LARGE_AT_ONCE = 2
"""So many large libraries are folded at a time, since each takes memory for all its actions."""


class LibraryReader:
    """Listeners' libraries in versions of the container of shelves; `cache` has those that were read last. `former` is
    the container of an earlier release, whose libraries may have to be converted first."""

    def __init__(self, former: DocumentStore, cache: FoldedCache) -> None:
        self._former = former
        self._cache = cache
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def watermarks(self, served: ServedVersion, created_at: datetime | None) -> dict[str, Watermark]:
        """How far the libraries of a version are, as `read_watermarks`. Raises StoreUnavailableError.

        Of a version that had no shelves when it was asked for nothing is applied: what its worker has written since
        isn't found without their number.
        """
        return await read_watermarks(served.store, created_at) if served.shelves else {}

    async def read(self, served: ServedVersion, user_id: str) -> LibraryLists:
        """The listener's library in a version, with every action that was there when the call began.

        Raises StoreUnavailableError.
        """
        if not served.shelves:
            if await self._former.read(PROGRESS, PROGRESS, WatermarkDocument) is not None:
                raise StoreUnavailableError(
                    "libraries of the former version are not converted yet: the library worker does it, and says at "
                    "/health/progress how far it is"
                )
            return LibraryLists(fold_actions(()))
        shelf = shelf_key(served.version, shelf_of(user_id, served.shelves))
        return await self._read(served.store, shelf, user_id)

    async def read_window(
        self, served: ServedVersion, user_id: str, since_us: int | None, until_us: int | None
    ) -> LibraryLists:
        """What the listener heard from `since_us` on and before `until_us` (microseconds since 1970, None is no bound),
        as a library. It is not cached. Raises StoreUnavailableError."""
        if not served.shelves:
            return await self.read(served, user_id)
        path = PathRead(user_id, None)
        await self._read_path(path, served.store, shelf_key(served.version, shelf_of(user_id, served.shelves)))
        folded = await self._worked(path.size_letters, lambda: fold_window(path.actions, since_us, until_us))
        return LibraryLists(folded)

    async def read_listens(
        self, served: ServedVersion, user_id: str, since_us: int | None, until_us: int | None
    ) -> list[HeardListen]:
        """All listens from `since_us` on and before `until_us`, oldest first. They are not cached. Raises
        StoreUnavailableError."""
        if not served.shelves:
            return sorted((await self.read(served, user_id)).library.recent)
        path = PathRead(user_id, None)
        await self._read_path(path, served.store, shelf_key(served.version, shelf_of(user_id, served.shelves)))
        return await self._worked(path.size_letters, lambda: heard_listens(path.actions, since_us, until_us))

    async def _read(self, store: DocumentStore, shelf: str, user_id: str) -> LibraryLists:
        seen = self._cache.find(shelf, user_id)
        path = PathRead(user_id, seen)
        if not await self._read_path(path, store, shelf, seen):
            assert seen is not None
            return seen.lists
        library = await self._worked(path.size_letters, path.library)
        self._cache.put(shelf, user_id, library)
        return library.lists

    async def _read_path(
        self, path: PathRead, store: DocumentStore, shelf: str, seen: SeenLibrary | None = None
    ) -> bool:
        """Read all that `path` wants; return whether anything has changed since `seen`."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                if seen is not None and seen.etag:
                    roots = await store.read_if_changed(ROOT, shelf, ReadRoot, seen.etag)
                    if roots is None:
                        return False
                    if roots:
                        await self._add(path, roots)
                    # Without a root it is asked for again below: a query says whether its container is there at all.
                pause_s = PAUSE_S
                while wanted := path.wanted:
                    await self._read_wanted(path, store, shelf)
                    if path.wanted == wanted:
                        await asyncio.sleep(pause_s)
                        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        except TimeoutError:
            missing = ", ".join(path.wanted[:3])
            raise StoreUnavailableError(
                f"shelf {shelf!r} of libraries: no complete read of a listener's nodes within {PATIENCE_S:g} s; "
                f"{missing} did not come, or not with what was pushed to them"
            ) from None
        except RunFormatError as error:
            raise StoreUnavailableError(
                f"a node of shelf {shelf!r} of libraries can't be understood: {error}"
            ) from None
        return True

    async def _read_wanted(self, path: PathRead, store: DocumentStore, shelf: str) -> None:
        await self._add(path, await store.read_many(path.wanted, shelf, node_kind))

    async def _add(self, path: PathRead, nodes: Sequence[TreeDocument]) -> None:
        await self._worked(sum(map(letters_in, nodes)), lambda: path.add(nodes))

    async def _worked(self, letters: int, work: Callable[[], T]) -> T:
        """The result of `work` on so many letters of runs, from a thread if they are many."""
        if letters <= SMALL_LETTERS:
            return work()
        await self._large.acquire()
        working = asyncio.ensure_future(asyncio.to_thread(work))
        # A thread can't be cancelled: it counts until it has ended, though nobody waits for it any more.
        working.add_done_callback(self._release)
        return await asyncio.shield(working)

    def _release(self, working: asyncio.Future[T]) -> None:
        self._large.release()
        if not working.cancelled():
            working.exception()
