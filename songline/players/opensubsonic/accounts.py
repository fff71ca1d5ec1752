"""The operations about the server and about who asks, and those for what Songline does not have."""

from songline.identity.scopes import Scope
from songline.players.opensubsonic.answer import Content
from songline.players.opensubsonic.browsing import FOLDER_ID
from songline.players.opensubsonic.call import Handler, PlayerCall
from songline.players.opensubsonic.errors import ErrorCode, OpenSubsonicError

EXTENSIONS: Content = {
    "openSubsonicExtensions": [
        {"name": "apiKeyAuthentication", "versions": [1]},
        {"name": "formPost", "versions": [1]},
    ]
}


async def ping(call: PlayerCall) -> Content:
    return {}


async def license_(call: PlayerCall) -> Content:
    """Always valid: clients refuse to play otherwise."""
    return {"license": {"valid": True}}


async def token_info(call: PlayerCall) -> Content:
    return {"tokenInfo": {"username": call.user_id}}


async def user(call: PlayerCall) -> Content:
    """What the listener may do by this player. Clients that have a key and no name leave `username` out."""
    wanted = call.parameters.text("username") or call.user_id
    if wanted != call.user_id:
        raise OpenSubsonicError(ErrorCode.NOT_AUTHORIZED, "User is not authorized: only their own user can be read.")
    may_play = call.may(Scope.CHARTS_READ)
    return {
        "user": {
            "username": call.user_id,
            "scrobblingEnabled": call.may(Scope.EVENTS_WRITE),
            "adminRole": False,
            "settingsRole": False,
            "downloadRole": may_play,
            "uploadRole": False,
            "playlistRole": False,
            "coverArtRole": False,
            "commentRole": False,
            "podcastRole": False,
            "streamRole": may_play,
            "jukeboxRole": False,
            "shareRole": False,
            "videoConversionRole": False,
            "folder": [FOLDER_ID],
        }
    }


async def scan_status(call: PlayerCall) -> Content:
    """Nothing is scanned: a song is there when its upload is done."""
    return {"scanStatus": {"scanning": False, "count": len((await call.state.collections.read()).songs)}}


def empty(*names: str) -> Handler:
    """An operation for what there is none of: the last of `names` is an empty list in the one before."""

    async def answer(call: PlayerCall) -> Content:
        match names:
            case (outer, inner):
                return {outer: {inner: list[Content]()}}
            case (outer,):
                return {outer: {}}
            case _:
                return {}

    return answer
