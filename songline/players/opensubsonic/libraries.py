"""What a listener's library says of songs, read for their player."""

from songline.identity.scopes import Scope
from songline.players.opensubsonic.call import PlayerCall
from songline.players.opensubsonic.marks import ListenerMarks
from songline.players.own_writes import wait_for_libraries
from songline.projections.library.library_reader import LibraryReader
from songline.projections.live_version import VersionedStores
from songline.schemas.channels import LIBRARY


async def listener_marks(call: PlayerCall) -> ListenerMarks:
    """The marks of the call's listener; none where the token may not read the library. Raises StoreUnavailableError:
    a player that believed that nothing is liked any more would take the stars off its own copy."""
    if not call.may(Scope.LIBRARY_READ):
        return ListenerMarks()
    await wait_for_libraries(call.request.app, call.state.written.of(call.user_id, call.now))
    versions: VersionedStores = call.request.app.state.versions
    reader: LibraryReader = call.request.app.state.libraries
    lists = await reader.read(await versions.live(LIBRARY), call.user_id)
    return ListenerMarks(lists.library.songs)
