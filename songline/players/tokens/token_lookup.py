"""Finds out whose token a player shows, with few reads of the store."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

from azure.core.exceptions import AzureError
from msgspec import Struct, field

from songline.api.session.sealing import Sealer
from songline.players.tokens.player_token import PlayerToken, id_of, is_salted_proof, read_text
from songline.players.tokens.token_store import PlayerTokenStore

logger = logging.getLogger(__name__)

FRESH_S = 5.0
"""A token that was read is good for so many seconds: so late is it learned that one was revoked."""
AGAIN_S = 1.0
"""Seconds after which a listener's tokens are read again for a digest that fits none."""
BELIEVED_S = 3_600.0
"""While the store is away, a token that was read before is believed for so long. Plays go on then, into the outbox."""
USED_S = 300.0
"""Seconds between two writes of when a token was used last."""
ROOM = 10_000
PATIENCE_S = 5.0
"""Seconds that the store has to answer."""


Guessed: TypeAlias = Callable[[], None]


def _allowed() -> None:
    return None


class TokensUnavailableError(Exception):
    """The store of tokens can't be read now. Asking again later may do."""


class _ReadTokens(Struct):
    """What was read, and when, in monotonic seconds."""

    tokens: tuple[PlayerToken, ...]
    read_s: float
    used_s: dict[str, float] = field(default_factory=dict)


class PlayerTokenLookup:
    """Reads tokens of `store`. `sealer` opens the texts of tokens for salted digests; None: there are none of these.

    `steady` gives monotonic seconds, `now` aware times.
    """

    def __init__(
        self,
        store: PlayerTokenStore,
        sealer: Sealer | None = None,
        steady: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._sealer, self._steady, self._now = store, sealer, steady, now
        self._known: OrderedDict[str, _ReadTokens] = OrderedDict()
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def knows_salted(self) -> bool:
        """Whether salted digests can be checked at all."""
        return self._sealer is not None

    async def find(self, text: str, guessed: Guessed = _allowed) -> PlayerToken | None:
        """The token with this text; None if there is none, or it was revoked.

        `guessed` is called before the store is asked for what is not known. Raises TokensUnavailableError, and what
        `guessed` raises.
        """
        found = read_text(text)
        if found is None:
            return None
        token_id = id_of(found)

        async def read() -> tuple[PlayerToken, ...]:
            token = await self._store.find(token_id)
            return () if token is None else (token,)

        known = await self._read(f"id {token_id}", read, guessed)
        return self._used(known, known.tokens[0]) if known.tokens else None

    async def find_salted(self, user_id: str, salt: str, proof: str, guessed: Guessed = _allowed) -> PlayerToken | None:
        """The listener's token of which `proof` is the MD5 together with `salt`; None if there is none. Raises as
        `find` does."""
        if self._sealer is None:
            return None

        async def read() -> tuple[PlayerToken, ...]:
            return tuple(token for token in await self._store.of(user_id) if token.is_salted)

        # One that was made a moment ago may not be among those that are known.
        for fresh_s in (FRESH_S, AGAIN_S):
            known = await self._read(f"user {user_id}", read, guessed, fresh_s)
            for token in known.tokens:
                if is_salted_proof(token, self._sealer, salt, proof):
                    return self._used(known, token)
            if not known.tokens:
                # They were read just now.
                break
        return None

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writing:
            await asyncio.wait(self._writing)

    async def _read(
        self,
        key: str,
        read: Callable[[], Awaitable[tuple[PlayerToken, ...]]],
        guessed: Guessed,
        fresh_s: float = FRESH_S,
    ) -> _ReadTokens:
        known, now_s = self._known.get(key), self._steady()
        if known is not None and now_s - known.read_s < fresh_s:
            self._known.move_to_end(key)
            return known
        if known is None:
            guessed()
        try:
            async with asyncio.timeout(PATIENCE_S):
                tokens = await read()
        except (AzureError, TimeoutError) as error:
            if known is not None and now_s - known.read_s < BELIEVED_S:
                return known
            raise TokensUnavailableError(str(error).partition("\n")[0] or type(error).__name__) from None
        if not tokens:
            # Texts that no token has take no room.
            self._known.pop(key, None)
            return _ReadTokens((), now_s)
        known = self._known[key] = _ReadTokens(tokens, now_s, {} if known is None else known.used_s)
        self._known.move_to_end(key)
        if len(self._known) > ROOM:
            self._known.popitem(last=False)
        return known

    def _used(self, known: _ReadTokens, token: PlayerToken) -> PlayerToken:
        now_s = self._steady()
        if now_s - known.used_s.get(token.id, float("-inf")) >= USED_S:
            known.used_s[token.id] = now_s
            task = asyncio.create_task(self._record(token.id, self._now()))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        return token

    async def _record(self, token_id: str, moment: datetime) -> None:
        try:
            await self._store.record_use(token_id, moment)
        except AzureError as error:
            logger.debug("when a token was used last is not stored: %s", error)
