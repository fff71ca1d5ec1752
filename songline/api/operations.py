"""What each operation of the API asks of its caller: the table that the guard reads and the OpenAPI document shows."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from songline.identity.scopes import Scope


class Group(StrEnum):
    """Operations that SONGLINE_OPEN opens together."""

    CHARTS = "charts"
    SONGS = "songs"
    PAGE = "page"
    DOCS = "docs"


class SubjectRule(StrEnum):
    """Where an operation names the listener whom the token has to be about.

    `path`: as `{user_id}`, which the guard checks. `request`: elsewhere in the request, or in what it reads, which the
    operation checks by its Permission.
    """

    PATH = "path"
    REQUEST = "request"


class Operation(Struct, frozen=True):
    """One of `scopes` is needed, or any token where there is none. With a subject rule, `scopes` are the one for the
    subject's own and the one for everybody's.

    An operation of an open `group` needs no token. One with `is_open` never does. A token that is shown has to be good
    all the same, except where `is_unchecked`. The token's end is that of an answer with `is_stream`. What
    comes in by an `is_upload` counts as bytes that its caller has uploaded.

    The tokens are the issuer's, and those of players (`songline.players.tokens`) where `is_of_players`.
    """

    scopes: tuple[Scope, ...] = ()
    subject: SubjectRule | None = None
    group: Group | None = None
    is_open: bool = False
    is_unchecked: bool = False
    is_stream: bool = False
    is_upload: bool = False
    is_of_players: bool = False


OperationTable: TypeAlias = Mapping[tuple[str, str], Operation]
"""Operations by method and path template. HEAD is GET, and a folder of files is its path with `/{path:path}`."""

_CHARTS = Operation((Scope.CHARTS_READ,), group=Group.CHARTS)
_FEED = Operation((Scope.CHARTS_READ,), group=Group.CHARTS, is_stream=True)
_SONGS = Operation((Scope.CHARTS_READ,), group=Group.SONGS)
_PAGE = Operation(group=Group.PAGE)
_DOCS = Operation(group=Group.DOCS)
_LIBRARY = Operation((Scope.LIBRARY_READ, Scope.LIBRARY_READ_ANY), SubjectRule.PATH)
_EVENTS = Operation((Scope.EVENTS_WRITE, Scope.EVENTS_WRITE_ANY), SubjectRule.REQUEST)
_OF_LISTENER = Operation((Scope.EVENTS_WRITE, Scope.EVENTS_WRITE_ANY), SubjectRule.PATH)
_UPLOADS = Operation((Scope.SONGS_WRITE, Scope.ADMIN), SubjectRule.REQUEST)
_ADMIN = Operation((Scope.ADMIN,))
_HEALTH = Operation(is_open=True, is_unchecked=True)
_SIGN_IN = Operation(is_open=True, is_unchecked=True)
_PLAYER_WRITES = Operation((Scope.EVENTS_WRITE,), SubjectRule.REQUEST, is_of_players=True)
_PLAYER_READS = Operation((Scope.LIBRARY_READ,), SubjectRule.PATH, is_of_players=True)

OPERATIONS: OperationTable = {
    ("GET", "/v1/charts"): _CHARTS,
    ("GET", "/v1/charts/{kind}/{window}"): _CHARTS,
    ("GET", "/v1/charts/{kind}/{window}/history"): _CHARTS,
    ("GET", "/v1/live"): _FEED,
    ("GET", "/v1/now-playing"): _FEED,
    ("GET", "/v1/songs"): _SONGS,
    ("GET", "/v1/songs/{song_id}"): _SONGS,
    ("GET", "/v1/songs/{song_id}/audio"): _SONGS,
    ("GET", "/v1/songs/{song_id}/history"): _SONGS,
    ("GET", "/v1/songs/{song_id}/plays"): _SONGS,
    ("GET", "/v1/users/{user_id}/library"): _LIBRARY,
    ("GET", "/v1/users/{user_id}/recent"): _LIBRARY,
    ("GET", "/v1/users/{user_id}/summary"): _LIBRARY,
    ("GET", "/v1/users/{user_id}/now-playing"): Operation(_LIBRARY.scopes, SubjectRule.PATH, is_stream=True),
    ("POST", "/v1/events"): _EVENTS,
    ("POST", "/v1/songs/{song_id}/plays"): _EVENTS,
    ("PUT", "/v1/users/{user_id}/likes/{song_id}"): _OF_LISTENER,
    ("DELETE", "/v1/users/{user_id}/likes/{song_id}"): _OF_LISTENER,
    ("PUT", "/v1/users/{user_id}/now-playing"): _OF_LISTENER,
    ("POST", "/v1/songs"): Operation(_UPLOADS.scopes, SubjectRule.REQUEST, is_upload=True),
    ("DELETE", "/v1/songs/{song_id}"): _UPLOADS,
    ("GET", "/v1/ingestions"): _UPLOADS,
    ("GET", "/v1/ingestions/{ingestion_id}"): _UPLOADS,
    ("GET", "/v1/ingestions/{ingestion_id}/events"): Operation(_UPLOADS.scopes, SubjectRule.REQUEST, is_stream=True),
    ("POST", "/v1/imports"): Operation(_EVENTS.scopes, SubjectRule.REQUEST, is_upload=True),
    ("POST", "/v1/imports/{import_id}/stop"): _EVENTS,
    ("POST", "/v1/imports/{import_id}/undo"): _EVENTS,
    ("GET", "/v1/imports/{import_id}"): Operation(_LIBRARY.scopes, SubjectRule.REQUEST),
    ("GET", "/v1/users/{user_id}/imports"): _LIBRARY,
    ("GET", "/v1/matches"): _ADMIN,
    ("GET", "/v1/matches/{name}"): _ADMIN,
    ("PUT", "/v1/matches/{name}"): _ADMIN,
    ("DELETE", "/v1/matches/{name}"): _ADMIN,
    ("GET", "/v1/deadletters"): _ADMIN,
    ("GET", "/v1/parked"): _ADMIN,
    ("POST", "/v1/listeners/{user_id}/erasure"): _ADMIN,
    ("GET", "/v1/erasures/{erasure_id}"): _ADMIN,
    ("POST", "/v1/erasures/{erasure_id}/undo"): _ADMIN,
    # Whoever may read a library may read the rest that is held about its listener.
    ("GET", "/v1/listeners/{user_id}/export"): Operation((Scope.LIBRARY_READ, Scope.ADMIN), SubjectRule.PATH),
    ("GET", "/"): _PAGE,
    ("GET", "/assets/{path:path}"): _PAGE,
    ("GET", "/docs"): _DOCS,
    ("GET", "/docs/events"): _DOCS,
    ("GET", "/docs/assets/{path:path}"): _DOCS,
    ("GET", "/openapi.json"): _DOCS,
    ("GET", "/asyncapi.json"): _DOCS,
    ("GET", "/v1/session"): _SIGN_IN,
    ("GET", "/v1/session/sign-in"): _SIGN_IN,
    ("GET", "/v1/session/callback"): _SIGN_IN,
    ("POST", "/v1/session/sign-out"): _SIGN_IN,
    ("POST", "/1/submit-listens"): _PLAYER_WRITES,
    ("POST", "/1/feedback/recording-feedback"): _PLAYER_WRITES,
    # It answers whether a token is good.
    ("GET", "/1/validate-token"): Operation(is_open=True, is_of_players=True),
    ("GET", "/1/user/{user_id}/listens"): _PLAYER_READS,
    ("GET", "/1/user/{user_id}/listen-count"): _PLAYER_READS,
    ("GET", "/1/user/{user_id}/playing-now"): _PLAYER_READS,
    ("GET", "/1/feedback/user/{user_id}/get-feedback"): _PLAYER_READS,
    # Players show a token of their own there: songline/players/opensubsonic/endpoints.py has the scopes.
    ("GET", "/rest/{path:path}"): Operation(is_open=True, is_unchecked=True),
    ("GET", "/health/live"): _HEALTH,
    ("GET", "/health/ready"): _HEALTH,
    ("GET", "/health/progress"): _HEALTH,
    ("GET", "/health/events"): _HEALTH,
    ("GET", "/health/identity"): _HEALTH,
    # Why a token is bad is told to operators alone.
    ("GET", "/health/refusals"): _ADMIN,
}
