"""Which version of a projection is live, as the document in the container `projections` says."""

from collections.abc import Callable

from songline.projections.store import DocumentStore
from songline.schemas.projections import LiveVersionDocument

KEPT_S = 1.0
"""Seconds for which an answer is cached."""


class LiveVersionReader:
    """Reads the live version of `projection` from the container `projections`, at most once in KEPT_S; `steady`
    returns monotonic seconds."""

    def __init__(self, versions: DocumentStore, projection: str, steady: Callable[[], float]) -> None:
        self._versions = versions
        self._projection = projection
        self._steady = steady
        self._last: tuple[float, LiveVersionDocument] | None = None

    async def read(self) -> LiveVersionDocument | None:
        """The live version, at most KEPT_S old; None where no worker has made one yet. Raises StoreUnavailableError."""
        now_s = self._steady()
        if self._last is None or now_s - self._last[0] >= KEPT_S:
            found = await self._versions.read(self._projection, self._projection, LiveVersionDocument)
            self._last = None if found is None else (now_s, found)
        return None if self._last is None else self._last[1]
