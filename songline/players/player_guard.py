"""The layer that asks players for their token, in front of the operations that the table gives to players.

A player shows its token in the header `Authorization`: `Token TEXT`, as ListenBrainz has it, or `Bearer TEXT`; one that
knows passwords only, `Basic` with the listener's id and the token as the password (RFC 7617). What is found is in the
request's state, as behind the guard of the issuer's tokens: `caller`, and a Permission for the listener whom the token
names. The API's own tokens are none here, and those of players are none there.
"""

import base64
import binascii

from starlette.types import ASGIApp, Receive, Scope, Send

from songline.api.operation_matcher import OperationMatcher
from songline.api.operations import SubjectRule
from songline.api.refusals import refusal
from songline.identity.caller import CallerRefusal, RefusalReason
from songline.identity.scopes import Scope as TokenScope
from songline.players.tokens.player_token import PlayerToken
from songline.players.tokens.token_lookup import PlayerTokenLookup, TokensUnavailableError
from songline.producers.http.caller_admission import guess_of
from songline.producers.http.problems import RequestDeclinedError
from songline.schemas.permission import CALLER, STATE, NotPermittedError, Permission
from songline.schemas.refusal_note import ANOTHERS, LISTENER, NOBODY, note_of

TOKEN = "player_token"  # noqa: S105 - a name in the state of a request
"""Where the ASGI state of a request has its PlayerToken, None where none is needed and none was shown."""
SCHEMES = ("token", "bearer")
BASIC = "basic"
RETRY_S = 2
_CHALLENGE = 'Token realm="songline"'


class PlayerGuard:
    """Passes a request of a player on to `app` if its token allows it, and every other request as it is.

    The app's state has `tokens_of_players`, a PlayerTokenLookup.
    """

    def __init__(self, app: ASGIApp, matcher: OperationMatcher) -> None:
        self._app, self._matcher = app, matcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        matched = self._matcher.match(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if matched is None or not matched.operation.is_of_players:
            await self._app(scope, receive, send)
            return
        operation, note = matched.operation, note_of(scope)
        note.operation, note.caller = matched.name, NOBODY
        state = scope.setdefault("state", {})
        state[TOKEN] = None
        try:
            token = await _token(scope)
            if isinstance(token, PlayerToken):
                note.caller = LISTENER
                state[TOKEN], state[CALLER] = token, token.caller
                state[STATE] = _permission(token, operation.scopes)
                if operation.subject is SubjectRule.PATH:
                    state[STATE].check("user_name", matched.parameters["user_id"])
            elif not operation.is_open:
                note.reason = token.reason
                raise RequestDeclinedError(401, "Who calls?", _words(token.reason))
        except NotPermittedError as error:
            note.reason = ANOTHERS if isinstance(token, PlayerToken) and _has(token, operation.scopes) else "scope"
            await refusal(error)(scope, receive, send)
        except TokensUnavailableError as error:
            detail = f"Tokens can't be checked now: {error}. Ask again."
            note.reason = RefusalReason.ISSUER_UNAVAILABLE
            await refusal(RequestDeclinedError(503, "Tokens can't be checked", detail, RETRY_S))(scope, receive, send)
        except RequestDeclinedError as error:
            response = refusal(error)
            if error.status == 401:
                response.headers["WWW-Authenticate"] = _CHALLENGE
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _token(scope: Scope) -> PlayerToken | CallerRefusal:
    """The token that a request shows. Raises TokensUnavailableError."""
    shown = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
    if not shown:
        return CallerRefusal(RefusalReason.MISSING)
    scheme, _, text = shown[0].strip().partition(" ")
    user_id: str | None = None
    if scheme.lower() == BASIC:
        user_id, text = _pair(text)
    # A proxy in front may have read another one.
    if len(shown) > 1 or scheme.lower() not in (*SCHEMES, BASIC):
        return CallerRefusal(RefusalReason.MALFORMED)
    lookup: PlayerTokenLookup = scope["app"].state.tokens_of_players
    found = await lookup.find(text, guess_of(scope))
    if found is None or user_id not in (None, found.user_id):
        return CallerRefusal(RefusalReason.UNKNOWN_KEY)
    return found


def _pair(text: str) -> tuple[str, str]:
    """The user and the password of `Basic`; empty where there are none."""
    try:
        pair = base64.b64decode(text.strip(), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return "", ""
    user, _, password = pair.partition(":")
    return user, password


def _has(token: PlayerToken, scopes: tuple[TokenScope, ...]) -> bool:
    return not scopes or any(scope in token.scopes for scope in scopes)


def _permission(token: PlayerToken, scopes: tuple[TokenScope, ...]) -> Permission:
    """What the token allows: its listener's own. Raises NotPermittedError where it lacks the operation's scope."""
    if not _has(token, scopes):
        needed = " or ".join(scopes)
        raise NotPermittedError(f"The token of {token.player!r} lacks a scope: expected {needed}.", _CHALLENGE)
    return Permission(token.user_id, for_subject=True, for_everybody=False, wider="admin", challenge=_CHALLENGE)


def _words(reason: RefusalReason) -> str:
    if reason is RefusalReason.MISSING:
        return "You need to provide an Authorization header: expected Token and what `songline listener token` prints."
    if reason is RefusalReason.MALFORMED:
        return "Provided Authorization header is invalid: expected one, `Token` and the text of a token."
    return "Invalid authorization token: it was never made, or is revoked. `songline listener token` makes another one."
