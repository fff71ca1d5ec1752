"""Tokens that were checked before: a signature costs more CPU than all else that a small request needs."""

from collections import OrderedDict
from hashlib import sha256

import jwt
from msgspec import Struct

from songline.identity.caller import Caller

MAX_TOKENS = 10_000


class CachedToken(Struct, frozen=True):
    """Who bears a token, and the key that signed it, by its id."""

    caller: Caller
    kid: str
    key: jwt.PyJWK


class TokenCache:
    """Good tokens by their SHA-256, at most `capacity`: the one that was not shown for the longest time goes first.

    Tokens themselves are not kept, and bad ones take no room.
    """

    def __init__(self, capacity: int = MAX_TOKENS) -> None:
        self._capacity = capacity
        self._tokens: OrderedDict[bytes, CachedToken] = OrderedDict()

    def find(self, token: str, now_s: float) -> CachedToken | None:
        """The token, if it is known and not over at `now_s` (unix seconds)."""
        digest = _digest(token)
        found = self._tokens.get(digest)
        if found is None:
            return None
        if now_s >= found.caller.expires_s:
            del self._tokens[digest]
            return None
        self._tokens.move_to_end(digest)
        return found

    def remember(self, token: str, cached: CachedToken) -> None:
        """`token` is good until it is over."""
        self._tokens[_digest(token)] = cached
        if len(self._tokens) > self._capacity:
            self._tokens.popitem(last=False)

    def __len__(self) -> int:
        return len(self._tokens)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
