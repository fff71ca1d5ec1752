"""What a listener's library says of songs, read for their player."""

from collections.abc import Mapping
from contextlib import suppress

from songline.identity.scopes import Scope
from songline.players.opensubsonic.call import PlayerCall
from songline.players.opensubsonic.marks import ListenerMarks
from songline.projections.hub_creation import HubCreation
from songline.projections.library.library_reader import LibraryReader
from songline.projections.live_version import VersionedStores
from songline.projections.read_your_writes import BehindError, reaching
from songline.schemas.channels import LIBRARY

WAIT_S = 5.0
"""So long an answer waits for the likes that the player has just sent."""


async def listener_marks(call: PlayerCall) -> ListenerMarks:
    """The marks of the call's listener; none where the token may not read the library. Raises StoreUnavailableError:
    a player that believed that nothing is liked any more would take the stars off its own copy."""
    if not call.may(Scope.LIBRARY_READ):
        return ListenerMarks()
    if wanted := call.state.written.of(call.user_id, call.now):
        # What is late is served as it is.
        with suppress(BehindError):
            await reaching("libraries", lambda: _position(call), lambda found: found, wanted, WAIT_S)
    versions: VersionedStores = call.request.app.state.versions
    reader: LibraryReader = call.request.app.state.libraries
    lists = await reader.read(await versions.live(LIBRARY), call.user_id)
    return ListenerMarks(lists.library.songs)


async def _position(call: PlayerCall) -> Mapping[str, int]:
    """Up to where the library has applied each partition."""
    versions: VersionedStores = call.request.app.state.versions
    hub: HubCreation | None = call.request.app.state.hub
    reader: LibraryReader = call.request.app.state.libraries
    reached = await reader.watermarks(await versions.live(LIBRARY), None if hub is None else await hub.created_at())
    return {partition: one.position for partition, one in reached.items()}
