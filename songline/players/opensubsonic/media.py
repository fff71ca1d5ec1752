"""The operations whose answer is a file."""

from starlette.requests import Request
from starlette.responses import Response

from songline.players.opensubsonic.call import PlayerCall
from songline.players.opensubsonic.errors import OpenSubsonicError
from songline.players.opensubsonic.songs import known_song, not_found
from songline.projections.songs.audio import AudioLostError
from songline.projections.songs.audio_response import NoAudioError, audio_response

_MISSING = 404
"""A client that expects a file, such as a browser's image, reads the status and not the code."""


async def stream(call: PlayerCall) -> Response:
    """The song's bytes as they were uploaded, or a range of them. Nothing is transcoded: `format`, `maxBitRate` and
    `timeOffset` change nothing. It is no play: players report these (`scrobble`)."""
    wanted = call.parameters.required("id")
    # A form asks for what a query asks for; its range is meant as well.
    scope = {**call.request.scope, "method": "GET"} if call.request.method == "POST" else call.request.scope
    try:
        return await audio_response(Request(scope), await known_song(call, wanted))
    except (NoAudioError, AudioLostError):
        raise not_found("sound of the song", wanted, _MISSING) from None
    except OpenSubsonicError as error:
        raise OpenSubsonicError(error.code, error.message, _MISSING) from None


async def cover(call: PlayerCall) -> Response:
    """There are no covers, so that players show their own picture."""
    raise not_found("cover", call.parameters.required("id"), _MISSING)


async def avatar(call: PlayerCall) -> Response:
    """There are no pictures of listeners."""
    raise not_found("avatar of", call.parameters.required("username"), _MISSING)
