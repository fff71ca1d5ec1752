"""Which key signs, and which keys clients are told of."""

from hypothesis import given
from hypothesis import strategies as st

from localcloud.identity.config import MAX_TOKEN_S
from localcloud.identity.key_ring import KEY_AGE_S, KeyRing, SigningKey


def key(kid: str, created_s: float = 0) -> SigningKey:
    return SigningKey(kid, "RS256", created_s, {"d": "private"})


def test_an_empty_ring_needs_a_key() -> None:
    assert KeyRing().current("RS256", 0) is None


def test_a_key_signs_until_it_is_old() -> None:
    ring = KeyRing().rotated(key("a"), 0)
    assert ring.current("RS256", KEY_AGE_S - 1) == key("a")
    assert ring.current("RS256", KEY_AGE_S) is None


def test_a_key_of_another_algorithm_does_not_sign() -> None:
    ring = KeyRing().rotated(key("a"), 0)
    assert ring.current("ES256", 1) is None
    assert [known.kid for known in ring.published(1)] == ["a"]


def test_a_key_is_not_shown_where_it_is_logged() -> None:
    assert "private" not in repr(key("a"))
    assert "private" not in repr(KeyRing((key("a"),)))


@given(st.lists(st.floats(0, 3 * MAX_TOKEN_S), max_size=12), st.floats(0, 3 * MAX_TOKEN_S))
def test_every_token_that_is_still_good_can_be_checked(gaps_s: list[float], later_s: float) -> None:
    ring, now_s, signed = KeyRing(), 0.0, []
    for number, gap_s in enumerate(gaps_s):
        now_s += gap_s
        ring = ring.rotated(key(str(number), now_s), now_s)
        current = ring.current("RS256", now_s)
        assert current is not None
        signed.append((current.kid, now_s))
        # Until the next one takes over.
        if number:
            signed.append((str(number - 1), now_s))
    now_s += later_s
    published = {known.kid for known in ring.published(now_s)}
    assert {kid for kid, moment_s in signed if now_s < moment_s + MAX_TOKEN_S} <= published
    last = {str(len(gaps_s) - 1)} if gaps_s else set()
    assert published <= last | {kid for kid, moment_s in signed if now_s < moment_s + MAX_TOKEN_S}
