"""A request of a player: what it asks for, who asks, and what is there to answer it."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
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
from songline.players.tokens.player_token import PlayerToken
from songline.schemas.permission import Permission

ROOM = 10_000
LASTS = timedelta(seconds=30)


class WrittenPositions:
    """Where the last likes of listeners are in the hub, by listener: a player reads at once what it has just written.

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


class OpenSubsonicState(Struct, frozen=True):
    """What lasts as long as the process."""

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
