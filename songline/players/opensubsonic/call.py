"""A request of a player: what it asks for, who asks, and what is there to answer it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import SystemRandom
from typing import TypeAlias

from msgspec import Struct, field
from starlette.requests import Request
from starlette.responses import Response

from songline.identity.scopes import Scope
from songline.players.opensubsonic.answer import Content
from songline.players.opensubsonic.collection_reader import CollectionReader
from songline.players.opensubsonic.parameters import Parameters
from songline.players.opensubsonic.scrobbles import RecentScrobbles
from songline.players.own_writes import WrittenPositions
from songline.players.tokens.player_token import PlayerToken
from songline.schemas.permission import Permission


class OpenSubsonicState(Struct, frozen=True):
    """What lasts as long as the process. `written` is shared with other protocols."""

    collections: CollectionReader
    repeated: RecentScrobbles = field(default_factory=RecentScrobbles)
    written: WrittenPositions = field(default_factory=WrittenPositions)
    random: SystemRandom = field(default_factory=SystemRandom)


class PlayerCall(Struct, frozen=True):
    """A request of the player whose token is `token`, at the moment `now`."""

    parameters: Parameters
    token: PlayerToken
    request: Request
    state: OpenSubsonicState
    now: datetime

    @property
    def user_id(self) -> str:
        """The listener."""
        return self.token.user_id

    def may(self, scope: Scope) -> bool:
        return scope in self.token.scopes

    @property
    def permission(self) -> Permission:
        """What the token allows in events: the listener's own."""
        return Permission(
            self.user_id, self.may(Scope.EVENTS_WRITE), for_everybody=False, wider=str(Scope.EVENTS_WRITE_ANY)
        )


Handler: TypeAlias = Callable[[PlayerCall], Awaitable[Content | Response]]
"""Answers a call: with what is in the answer beside its head, or with a response of its own. Raises OpenSubsonicError,
and what the read and the write side raise."""


def utc_now() -> datetime:
    return datetime.now(UTC)
