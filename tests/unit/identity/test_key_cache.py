"""When keys are asked for."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from songline.identity.key_cache import BETWEEN_S, FRESH_S, KEPT_S, KeyCache
from songline.identity.key_set import read_key_set
from tests.support.tokens import key_set

KEYS = read_key_set(key_set())


def test_the_first_token_asks_for_keys() -> None:
    assert KeyCache().is_due("rsa", 0)
    assert not KeyCache().is_usable(0)


def test_a_known_key_is_not_asked_for_while_it_is_fresh() -> None:
    cache = KeyCache().after_answer(KEYS, 0)
    assert not cache.is_due("rsa", FRESH_S - 1)
    assert cache.is_due("rsa", FRESH_S)


def test_an_unknown_key_is_asked_for_once_in_a_while() -> None:
    cache = KeyCache().after_answer(KEYS, 0)
    assert not cache.is_due("new", BETWEEN_S - 1)
    assert cache.is_due("new", BETWEEN_S)
    assert not cache.after_answer(KEYS, BETWEEN_S).is_due("new", BETWEEN_S + 1)


def test_known_keys_outlive_an_issuer_that_is_away() -> None:
    cache = KeyCache().after_answer(KEYS, 0).after_failure(FRESH_S)
    assert cache.failed
    assert cache.keys == KEYS
    assert cache.is_usable(KEPT_S - 1)
    assert not cache.is_usable(KEPT_S)
    assert not cache.after_answer(KEYS, KEPT_S).failed


def test_a_clock_that_was_set_back_does_not_keep_keys_for_ever() -> None:
    cache = KeyCache().after_answer(KEYS, 1_000_000)
    assert cache.is_due("rsa", 0)


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["rsa", "new"]), st.booleans()), max_size=60))
def test_an_issuer_is_never_asked_twice_within_a_while(steps: list[tuple[float, str, bool]]) -> None:
    cache, now_s, asked = KeyCache(), 0.0, list[float]()
    for gap_s, kid, answers in steps:
        now_s += gap_s
        if cache.is_due(kid, now_s):
            asked.append(now_s)
            cache = cache.after_answer(KEYS, now_s) if answers else cache.after_failure(now_s)
    assert all(later - earlier >= BETWEEN_S for earlier, later in pairwise(asked))
