"""How a player's token is found: few reads, revocation within seconds, and what holds while the store is away."""

from datetime import UTC, datetime, timedelta
from hashlib import md5

import pytest
from azure.core.exceptions import ServiceRequestError

from songline.api.session.sealing import KEY_BYTES, Sealer
from songline.players.tokens.player_token import PLAYER_SCOPES, NewToken, PlayerToken, new_token, sealed_for_salt
from songline.players.tokens.token_lookup import (
    AGAIN_S,
    BELIEVED_S,
    FRESH_S,
    USED_S,
    PlayerTokenLookup,
    TokensUnavailableError,
)
from songline.players.tokens.token_store import PlayerTokenStore

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
SEALER = Sealer((bytes(KEY_BYTES),))


class Kept(PlayerTokenStore):
    """Tokens in memory, which may be away."""

    def __init__(self, *tokens: PlayerToken) -> None:
        self.tokens = {token.id: token for token in tokens}
        self.reads = 0
        self.is_away = False
        self.used: list[datetime] = []

    async def find(self, token_id: str) -> PlayerToken | None:
        self._read()
        return self.tokens.get(token_id)

    async def of(self, user_id: str) -> list[PlayerToken]:
        self._read()
        return [token for token in self.tokens.values() if token.user_id == user_id]

    async def record_use(self, token_id: str, moment: datetime) -> None:
        self._read()
        self.used.append(moment)

    def _read(self) -> None:
        if self.is_away:
            raise ServiceRequestError("away")
        self.reads += 1


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.s)


def made(number: int = 1) -> NewToken:
    return new_token("user-7", "phone", PLAYER_SCOPES, NOON, lambda size: bytes([number]) * size)


def lookup(store: Kept, clock: Clock) -> PlayerTokenLookup:
    return PlayerTokenLookup(store, SEALER, clock, clock.now)


async def test_a_token_is_read_once_in_five_seconds_and_revocation_is_learned_then() -> None:
    one, clock = made(), Clock()
    store = Kept(one.token)
    found = lookup(store, clock)
    assert await found.find(f" {one.text.upper()} ") == one.token
    await found.close()
    assert (store.reads, store.used) == (2, [NOON])
    store.tokens.clear()
    clock.s = FRESH_S - 1
    assert await found.find(one.text) == one.token
    clock.s = FRESH_S
    assert await found.find(one.text) is None
    assert await found.find("no token") is None
    assert store.reads == 3


async def test_a_new_token_is_good_at_once() -> None:
    one, store = made(), Kept()
    found = lookup(store, Clock())
    assert await found.find(one.text) is None
    store.tokens[one.token.id] = one.token
    assert await found.find(one.text) == one.token
    await found.close()


async def test_while_the_store_is_away_a_known_token_is_believed_and_no_other() -> None:
    one, other, clock = made(1), made(2), Clock()
    store = Kept(one.token, other.token)
    found = lookup(store, clock)
    assert await found.find(one.text) == one.token
    await found.close()
    store.is_away = True
    clock.s = BELIEVED_S - 1
    assert await found.find(one.text) == one.token
    with pytest.raises(TokensUnavailableError, match="away"):
        await found.find(other.text)
    clock.s = BELIEVED_S
    with pytest.raises(TokensUnavailableError):
        await found.find(one.text)
    await found.close()
    store.is_away = False
    assert await found.find(one.text) == one.token
    await found.close()


async def test_use_is_recorded_now_and_then() -> None:
    one, clock = made(), Clock()
    store = Kept(one.token)
    found = lookup(store, clock)
    for second in range(0, int(2 * USED_S) + 1, 10):
        clock.s = float(second)
        assert await found.find(one.text) is not None
    await found.close()
    assert store.used == [NOON + timedelta(seconds=USED_S * step) for step in range(3)]


async def test_salted_digests_find_the_listeners_own_tokens_alone() -> None:
    one, other, clock = made(1), made(2), Clock()
    salted = sealed_for_salt(one, SEALER)
    store = Kept(salted, other.token)
    found = lookup(store, clock)
    proof = md5((one.text + "salt").encode()).hexdigest()
    assert await found.find_salted("user-7", "salt", proof) == salted
    assert await found.find_salted("user-8", "salt", proof) is None
    assert await found.find_salted("user-7", "pepper", proof) is None
    assert await found.find_salted("user-7", "salt", md5((other.text + "salt").encode()).hexdigest()) is None
    later = sealed_for_salt(made(3), SEALER)
    store.tokens[later.id] = later
    clock.s = AGAIN_S
    assert await found.find_salted("user-7", "salt", md5((made(3).text + "salt").encode()).hexdigest()) == later
    assert await PlayerTokenLookup(store, None, clock, clock.now).find_salted("user-7", "salt", proof) is None
    await found.close()
