"""The songs of the catalog's live version, as the write API reads them."""

from collections.abc import Callable
from typing import Any

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.schemas.channels import PROJECTIONS, SONGS
from songline.schemas.decoding import convert
from songline.schemas.projections import FIRST_VERSION, container_of, live_version, version_id
from songline.schemas.songs import SongDocument

KEPT_S = 1.0
"""Seconds for which the live version is taken to be the same."""


class CatalogSongs:
    """Reads songs. `open_container` gives a container by its name, `steady` returns monotonic seconds."""

    def __init__(self, open_container: Callable[[str], ContainerProxy], steady: Callable[[], float]) -> None:
        self._open_container = open_container
        self._steady = steady
        self._last: tuple[float, ContainerProxy] | None = None

    async def read(self, song_id: str) -> SongDocument | None:
        """The song's document, also after its removal; None if there is none. Raises AzureError, PoisonError, and
        DamagedVersionError."""
        found = await _read(await self._songs(), song_id)
        return None if found is None else convert(found, SongDocument)

    async def _songs(self) -> ContainerProxy:
        now_s = self._steady()
        if self._last is None or now_s - self._last[0] >= KEPT_S:
            projections = self._open_container(PROJECTIONS)
            found = await _read(projections, SONGS)
            first = None if found is not None else await _read(projections, version_id(SONGS, FIRST_VERSION))
            live = live_version(SONGS, found, first)
            self._last = now_s, self._open_container(container_of(SONGS, live.version))
        return self._last[1]


async def _read(container: ContainerProxy, document_id: str) -> dict[str, Any] | None:
    try:
        return dict(await container.read_item(document_id, document_id))
    except CosmosResourceNotFoundError:
        return None
