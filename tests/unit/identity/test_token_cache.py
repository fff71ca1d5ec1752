"""Tokens that were checked before."""

import jwt

from songline.identity.caller import Caller
from songline.identity.token_cache import CachedToken, TokenCache
from tests.support.tokens import ec_key, jwk


def cached(expires_s: float = 10.0) -> CachedToken:
    key = jwt.PyJWK({**jwk("ec", ec_key()), "alg": "ES256"})
    return CachedToken(Caller("ada", frozenset(), expires_s), "ec", key)


def test_the_token_that_was_not_shown_for_the_longest_time_goes_first() -> None:
    cache = TokenCache(capacity=3)
    for token in "abc":
        cache.remember(token, cached())
    assert cache.find("a", 0.0) is not None
    cache.remember("d", cached())
    assert [token for token in "abcd" if cache.find(token, 0.0) is None] == ["b"]
    cache.remember("a", cached())
    assert len(cache) == 3


def test_a_token_that_is_over_takes_no_room() -> None:
    cache = TokenCache()
    cache.remember("a", cached(expires_s=10.0))
    assert cache.find("a", 9.9) is not None
    assert cache.find("a", 10.0) is None
    assert len(cache) == 0
