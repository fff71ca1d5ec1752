"""The containers of the live versions of projections, as the documents in the container `projections` say.

An answer asks once for each projection that it needs, and reads what it got: so it is of one version. Cursors name the
version of their list, see `songline.projections.version_cursor`.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.projections import (
    FIRST_VERSION,
    DamagedVersionError,
    LiveVersionDocument,
    VersionDocument,
    container_of,
    live_version,
    version_id,
)

KEPT_S = 1.0
"""Seconds for which an answer is cached."""


class VersionUnknownError(StoreUnavailableError):
    """Which version is live is not known. An operator has to mend it; the message says how."""


class VersionGoneError(Exception):
    """A version that a cursor names is not served any more. The caller begins with the first page."""


class ServedVersion(Struct, frozen=True):
    """A version of a projection: its number, the `shelves` of libraries (0: none was made yet), and its container."""

    version: int
    shelves: int
    store: DocumentStore


class LiveVersionReader:
    """Reads which version of `projection` is live from the container `projections`, at most once in KEPT_S; `steady`
    returns monotonic seconds."""

    def __init__(self, versions: DocumentStore, projection: str, steady: Callable[[], float]) -> None:
        self._versions = versions
        self._projection = projection
        self._steady = steady
        self._last: tuple[float, LiveVersionDocument] | None = None
        self._reading: asyncio.Task[LiveVersionDocument] | None = None

    async def read(self) -> LiveVersionDocument:
        """The live version, at most KEPT_S old. Raises StoreUnavailableError, and VersionUnknownError."""
        if self._last is not None and self._steady() - self._last[0] < KEPT_S:
            return self._last[1]
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        # Requests that come meanwhile share the read; one that is cancelled must not cancel it for the others.
        return await asyncio.shield(self._reading)

    async def _read(self) -> LiveVersionDocument:
        now_s = self._steady()
        found = await self._document(self._projection)
        first = None if found is not None else await self._document(version_id(self._projection, FIRST_VERSION))
        if first is not None:
            # What is live is said before there is a version: both may have been made since.
            found = await self._document(self._projection)
        try:
            live = live_version(self._projection, found, first)
        except DamagedVersionError as error:
            raise VersionUnknownError(str(error)) from None
        self._last = now_s, live
        return live

    async def _document(self, document_id: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = await self._versions.read(document_id, document_id, dict)
        return found


class VersionedStores:
    """The containers of the versions of projections. `versions` is the container `projections`, `open_container` gives
    another one by its name, `steady` returns monotonic seconds."""

    def __init__(
        self, versions: DocumentStore, open_container: Callable[[str], DocumentStore], steady: Callable[[], float]
    ) -> None:
        self._versions = versions
        self._open_container = open_container
        self._steady = steady
        self._live: dict[str, LiveVersionReader] = {}
        self._opened: dict[str, DocumentStore] = {}

    async def live(self, projection: str) -> ServedVersion:
        """The live version. Raises StoreUnavailableError, and VersionUnknownError."""
        reader = self._live.setdefault(projection, LiveVersionReader(self._versions, projection, self._steady))
        live = await reader.read()
        return ServedVersion(live.version, live.shelves, self._open(projection, live.version))

    async def of(self, projection: str, version: int | None) -> ServedVersion:
        """The version of a list that is read on, or the live one for None. Raises StoreUnavailableError, and
        VersionGoneError for a version that is neither live nor was before, or was dropped."""
        live = await self.live(projection)
        if version is None or version == live.version:
            return live
        document_id = version_id(projection, version)
        found = await self._versions.read(document_id, document_id, VersionDocument)
        if found is None or found.state not in ("live", "former"):
            raise VersionGoneError(f"version {version} of {projection}")
        return ServedVersion(version, found.shelves, self._open(projection, version))

    def _open(self, projection: str, version: int) -> DocumentStore:
        name = container_of(projection, version)
        if name not in self._opened:
            self._opened[name] = self._open_container(name)
        return self._opened[name]
