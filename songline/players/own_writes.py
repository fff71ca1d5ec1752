"""What players have just written for a listener: any player of theirs reads it back at once."""

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from fastapi import FastAPI

from songline.projections.hub_creation import HubCreation
from songline.projections.library.library_reader import LibraryReader
from songline.projections.live_version import VersionedStores
from songline.projections.read_your_writes import BehindError, reaching
from songline.schemas.channels import LIBRARY

ROOM = 10_000
LASTS = timedelta(seconds=30)
WAIT_S = 5.0
"""So long an answer waits for what was just written."""


class WrittenPositions:
    """Where the last plays and likes of listeners are in the hub, by listener.

    A position that is LASTS old is forgotten: the library has it by then, or is late for everybody.
    """

    def __init__(self) -> None:
        self._written: OrderedDict[str, Mapping[str, tuple[datetime, int]]] = OrderedDict()

    def remember(self, user_id: str, position: Mapping[str, int], now: datetime) -> None:
        """The later position of a partition stays: two likes may be answered in the other order."""
        known = self._known(user_id, now)
        later = {one: (now, at) for one, at in position.items() if one not in known or at > known[one][1]}
        self._written[user_id] = {**known, **later}
        self._written.move_to_end(user_id)
        if len(self._written) > ROOM:
            self._written.popitem(last=False)

    def of(self, user_id: str, now: datetime) -> Mapping[str, int]:
        """The position by partition; empty where nothing is to be waited for."""
        return {partition: position for partition, (_, position) in self._known(user_id, now).items()}

    def _known(self, user_id: str, now: datetime) -> Mapping[str, tuple[datetime, int]]:
        """When each position was written, and the position, by partition, as long as it is not forgotten."""
        found = self._written.get(user_id, {})
        return {partition: one for partition, one in found.items() if now - one[0] < LASTS}


async def wait_for_libraries(app: FastAPI, wanted: Mapping[str, int], wait_s: float = WAIT_S) -> None:
    """Return once the live version of libraries has applied `wanted`, by partition, or is late. Raises
    StoreUnavailableError."""
    versions: VersionedStores = app.state.versions
    hub: HubCreation | None = app.state.hub
    reader: LibraryReader = app.state.libraries

    async def applied() -> Mapping[str, int]:
        reached = await reader.watermarks(await versions.live(LIBRARY), None if hub is None else await hub.created_at())
        return {partition: one.position for partition, one in reached.items()}

    if wanted:
        # What is late is served as it is.
        with suppress(BehindError):
            await reaching("libraries", applied, lambda found: found, wanted, wait_s)
