"""The operations by which a player reports plays and likes."""

import secrets
from collections.abc import Sequence

from songline.players.opensubsonic.answer import Content
from songline.players.opensubsonic.call import PlayerCall
from songline.players.opensubsonic.errors import ErrorCode, OpenSubsonicError
from songline.players.opensubsonic.parameters import missing
from songline.players.opensubsonic.scrobbles import SOURCE, played, read_scrobbles
from songline.players.opensubsonic.scrobbles import starred as stars
from songline.players.opensubsonic.songs import OUR_PREFIXES, are_songs, not_found
from songline.producers.http.announcer import Announcer
from songline.producers.http.event_charge import charge_events
from songline.producers.http.event_endpoint import EventEndpoint
from songline.producers.http.problems import RequestDeclinedError
from songline.producers.publishing.errors import AccessDeniedError, TransientError
from songline.schemas.acceptance import MAX_BATCH_EVENTS
from songline.schemas.envelope import Event, encode, uuid7
from songline.schemas.errors import ContractViolationError
from songline.schemas.live import LiveEvent, PlaybackStarted

RETRY_S = 2
_STARRED = ("id", "albumId", "artistId")
"""A player that browses by folders says `id` of an album too."""


async def scrobble(call: PlayerCall) -> Content:
    """Take plays, or say what is playing at this moment.

    A play of what is no song is left out: a client that could not report one would keep all others, too. An answer
    that went well means that the hub or the disk has the others.
    """
    reported = read_scrobbles(call.parameters)
    songs = await are_songs(call, tuple(one.song_id for one in reported))
    if not songs:
        raise not_found("song", reported[0].song_id)
    if not call.parameters.flag("submission", default=True):
        await _announce(call, songs[-1])
        return {}
    moments = [(one.song_id, call.state.repeated.moment(call.user_id, one, call.now)) for one in reported]
    known = set(songs)
    plays = dict.fromkeys(one for one in moments if one[0] in known)
    await _publish(call, [played(call.user_id, song_id, at) for song_id, at in plays])
    return {}


async def star(call: PlayerCall) -> Content:
    await _star(call, is_liked=True)
    return {}


async def unstar(call: PlayerCall) -> Content:
    await _star(call, is_liked=False)
    return {}


async def _star(call: PlayerCall, *, is_liked: bool) -> None:
    """Like songs, or take that back; an album or an artist stands for all songs of it."""
    wanted = tuple(dict.fromkeys(one for name in _STARRED for one in call.parameters.texts(name)))
    if not wanted:
        raise missing("id")
    if any(one.startswith(OUR_PREFIXES) for one in wanted):
        wanted = (await call.state.collections.read()).song_ids(wanted)
    if len(wanted) > MAX_BATCH_EVENTS:
        raise OpenSubsonicError(
            ErrorCode.GENERIC, f"saw {len(wanted)} songs to like, expected {MAX_BATCH_EVENTS} in a request at most."
        )
    songs = await are_songs(call, wanted)
    if lacking := [song_id for song_id in wanted if song_id not in songs]:
        raise not_found("song", lacking[0])
    ids = [uuid7(int(call.now.timestamp() * 1000), secrets.randbits(74)) for _ in songs]
    await _publish(call, stars(call.user_id, songs, call.now, ids, is_liked=is_liked))


async def _publish(call: PlayerCall, events: Sequence[Event]) -> None:
    """Raises OpenSubsonicError for what breaks a rule, and RequestDeclinedError where nothing can be taken now."""
    endpoint: EventEndpoint | None = getattr(call.request.app.state, "events", None)
    if endpoint is None:
        raise RequestDeclinedError(503, "No events", "This API takes no events: it has no outbox.", RETRY_S)
    charge_events(call.request.scope, len(events))
    taken = await endpoint.take([encode(event) for event in events], call.permission)
    call.state.written.remember(call.user_id, taken.position, call.now)
    refused = [result.error for result in taken.results if result.error is not None]
    if refused and len(refused) == len(events):
        raise ContractViolationError(refused[0])


async def _announce(call: PlayerCall, song_id: str) -> None:
    announcer: Announcer | None = getattr(call.request.app.state, "announcer", None)
    if announcer is None:
        raise RequestDeclinedError(503, "No events", "This API takes no events: it has no outbox.", RETRY_S)
    event = LiveEvent(
        id=uuid7(int(call.now.timestamp() * 1000), secrets.randbits(74)),
        source=SOURCE,
        time=call.now,
        data=PlaybackStarted(user_id=call.user_id, song_id=song_id),
    )
    try:
        await announcer.publish(event)
    except (TransientError, AccessDeniedError) as error:
        raise RequestDeclinedError(503, "Nothing can be told now", str(error), RETRY_S) from None
