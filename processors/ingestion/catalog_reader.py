"""Songs of the catalog's live version, as the ingestion worker reads them."""

import time
from collections.abc import Callable

import msgspec
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError

from songline.processors.runtime import live_version
from songline.schemas.channels import PROJECTIONS, SONGS
from songline.schemas.projections import DamagedVersionError, container_of
from songline.schemas.songs import SongDocument

KEPT_S = 1.0
"""Seconds for which the live version is taken to be the same."""

_RETRY_WITH = 449


class CatalogReader:
    """Reads songs of the catalog's live version, which also has songs without an ingestion. `open_container` gives a
    container by its name, `steady` returns monotonic seconds."""

    def __init__(
        self, open_container: Callable[[str], ContainerProxy], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._open_container = open_container
        self._steady = steady
        self._last: tuple[float, ContainerProxy] | None = None

    async def read(self, song_id: str) -> SongDocument | None:
        """The song's document, None if there is none. Raises AzureError, also while it is not known which version is
        live."""
        songs = await self._songs()
        try:
            item = await songs.read_item(song_id, partition_key=song_id)
        except CosmosResourceNotFoundError:
            return None
        return msgspec.convert(dict(item), SongDocument)

    async def _songs(self) -> ContainerProxy:
        now_s = self._steady()
        if self._last is None or now_s - self._last[0] >= KEPT_S:
            try:
                live = await live_version.read(self._open_container(PROJECTIONS), SONGS)
            except DamagedVersionError as error:
                # The caller tries again later, as with any fault of a service.
                raise CosmosHttpResponseError(status_code=_RETRY_WITH, message=str(error)) from None  # type: ignore[no-untyped-call]
            self._last = now_s, self._open_container(container_of(SONGS, live.version))
        return self._last[1]
