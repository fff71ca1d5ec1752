"""Tokens that are good, and every way in which one is not."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from songline.identity.caller import Caller, CallerRefusal, RefusalReason, needs
from songline.identity.key_set import read_key_set
from songline.identity.scopes import Scope
from songline.identity.token_check import LEEWAY_S, check_claims, check_token, read_bearer, read_header
from tests.support.tokens import (
    ISSUER,
    NOW_S,
    SETTINGS,
    claims,
    ec_key,
    encoded,
    jwk,
    key_set,
    public_pem,
    raw_token,
    token,
)

KEYS = read_key_set(key_set())


def verified(text: str, now_s: float = NOW_S) -> Caller | CallerRefusal:
    """What the verifier does with a token, without the way to the keys."""
    header = read_header(text)
    if isinstance(header, CallerRefusal):
        return header
    key = KEYS.get(header.kid)
    return CallerRefusal(RefusalReason.UNKNOWN_KEY) if key is None else check_token(text, header, key, SETTINGS, now_s)


def refused(text: str, now_s: float = NOW_S) -> str:
    found = verified(text, now_s)
    assert isinstance(found, CallerRefusal), found
    return found.reason


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_good_token_names_its_bearer(algorithm: str) -> None:
    assert verified(token(algorithm)) == Caller("user-7", frozenset({"library:read", "charts:read"}), NOW_S + 600)


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
def test_access_tokens_have_one_of_these_types(kind: str | None) -> None:
    assert isinstance(verified(token(header={"typ": kind})), Caller)


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ({"scope": "a b"}, {"a", "b"}),
        ({"scope": ["a", "b"]}, {"a", "b"}),
        ({"scp": "a b", "scope": None}, {"a", "b"}),
        ({"scp": ["a"], "scope": None}, {"a"}),
        ({"roles": ["a", "b"], "scope": None}, {"a", "b"}),
        ({"roles": ["a"], "scp": "b", "scope": "c"}, {"a", "b", "c"}),
        ({"scope": "  a  "}, {"a"}),
        ({"scope": ""}, set()),
        ({"scope": None}, set()),
    ],
)
def test_scopes_are_read_as_issuers_write_them(scopes: dict[str, Any], expected: set[str]) -> None:
    found = verified(token(**scopes))
    assert isinstance(found, Caller)
    assert found.scopes == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"iss": None}, "claims"),
        ({"aud": "another"}, "audience"),
        ({"aud": ["another", "Songline"]}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": ""}, "audience"),
        ({"aud": None}, "claims"),
        ({"aud": 7}, "claims"),
        ({"sub": None}, "claims"),
        ({"sub": ""}, "claims"),
        ({"sub": 7}, "claims"),
        ({"sub": "x" * 257}, "claims"),
        ({"sub": "user-7\n"}, "claims"),
        ({"exp": None}, "claims"),
        ({"exp": "1900000000"}, "claims"),
        ({"exp": True}, "claims"),
        ({"exp": -1}, "expired"),
        ({"nbf": "0"}, "claims"),
        ({"scope": 7}, "claims"),
        ({"roles": {"admin": True}}, "claims"),
        ({"scope": ["a", 7]}, "claims"),
    ],
)
def test_claims_that_are_wrong_are_refused(changes: dict[str, Any], reason: str) -> None:
    payload = json.dumps(claims(**changes)).encode()
    found = check_claims(payload, SETTINGS, NOW_S)
    assert found == CallerRefusal(RefusalReason(reason))


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"7", b"null", b"\xff", b'{"iss":1e999}', b"[" * 100_000])
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    assert check_claims(payload, SETTINGS, NOW_S) == CallerRefusal(RefusalReason.CLAIMS)


def test_one_of_several_audiences_is_enough() -> None:
    assert isinstance(verified(token(aud=["another", "songline"])), Caller)


def test_a_token_is_good_until_its_end_with_a_small_leeway() -> None:
    text = token()
    end = claims()["exp"]
    assert isinstance(verified(text, end + LEEWAY_S - 1), Caller)
    assert refused(text, end + LEEWAY_S) == "expired"


def test_a_token_is_good_from_its_beginning_with_a_small_leeway() -> None:
    text = token(nbf=int(NOW_S) + 100)
    assert refused(text, NOW_S + 99 - LEEWAY_S) == "not-yet-valid"
    assert isinstance(verified(text, NOW_S + 100 - LEEWAY_S), Caller)
    assert isinstance(verified(token(nbf=None)), Caller)


# Signatures


def test_a_token_without_a_signature_is_refused() -> None:
    payload = json.dumps(claims()).encode()
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        assert refused(raw_token({"alg": algorithm, "kid": "rsa"}, payload, b"")) in ("algorithm", "malformed")
    for algorithm, kid in (("RS256", "rsa"), ("ES256", "ec")):
        assert refused(raw_token({"alg": algorithm, "kid": kid}, payload, b"")) == "signature"


@pytest.mark.parametrize("secret", [public_pem(), public_pem().strip(), key_set(), b""])
def test_a_public_key_is_no_shared_secret(secret: bytes) -> None:
    signed = f"{encoded(json.dumps({'alg': 'HS256', 'kid': 'rsa'}).encode())}.{encoded(json.dumps(claims()).encode())}"
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    assert refused(f"{signed}.{encoded(signature)}") == "algorithm"
    # Nor where the header calls it what it is not.
    renamed = f"{encoded(json.dumps({'alg': 'RS256', 'kid': 'rsa'}).encode())}.{signed.split('.')[1]}"
    signature = hmac.new(secret, renamed.encode(), hashlib.sha256).digest()
    assert refused(f"{renamed}.{encoded(signature)}") == "signature"


@pytest.mark.parametrize(
    "algorithm", ["HS256", "HS512", "RS384", "RS512", "PS256", "ES384", "ES512", "EdDSA", "RSA1_5"]
)
def test_other_algorithms_are_refused(algorithm: str) -> None:
    header, payload, signature = token().split(".")
    header = encoded(json.dumps({"alg": algorithm, "kid": "rsa"}).encode())
    assert refused(f"{header}.{payload}.{signature}") == "algorithm"


def test_a_key_is_used_by_its_own_algorithm() -> None:
    assert refused(token("RS256", header={"kid": "ec"})) == "algorithm"
    assert refused(token("ES256", header={"kid": "rsa"})) == "algorithm"


@pytest.mark.parametrize("kid", [None, "", "other", "../rsa", "rsa\u0000", "' OR 1=1 --", "x" * 10_000, 7, ["rsa"]])
def test_an_odd_kid_finds_no_key(kid: object) -> None:
    signed = token().split(".")
    header = {"alg": "RS256", **({} if kid is None else {"kid": kid})}
    assert refused(".".join([encoded(json.dumps(header).encode()), *signed[1:]])) in ("unknown-key", "malformed")


@pytest.mark.parametrize(
    "member",
    [
        {"jwk": jwk("ec", ec_key())},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/keys"},
        {"x5c": ["MII"]},
    ],
)
def test_a_key_in_the_header_is_not_looked_at(member: dict[str, Any]) -> None:
    stranger = jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": "ec", **member})
    assert refused(stranger) == "signature"


@pytest.mark.parametrize("member", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": False, "crit": ["b64"]}])
def test_what_a_header_demands_is_not_passed_over(member: dict[str, Any]) -> None:
    _, payload, signature = token().split(".")
    header = encoded(json.dumps({"alg": "RS256", "kid": "rsa", **member}).encode())
    assert refused(f"{header}.{payload}.{signature}") == "malformed"


@pytest.mark.parametrize("kind", ["dpop+jwt", "logout+jwt", "secevent+jwt", ""])
def test_other_kinds_of_tokens_are_refused(kind: str) -> None:
    _, payload, signature = token().split(".")
    header = encoded(json.dumps({"alg": "RS256", "kid": "rsa", "typ": kind}).encode())
    assert refused(f"{header}.{payload}.{signature}") == "type"


def test_parts_of_two_tokens_make_none() -> None:
    one, other = token().split("."), token(sub="user-8", scope="admin").split(".")
    assert refused(f"{one[0]}.{other[1]}.{one[2]}") == "signature"
    assert refused(f"{one[0]}.{one[1]}.{other[2]}") == "signature"


def test_a_token_that_is_long_is_not_looked_at() -> None:
    assert refused(token(scope="x" * 20_000)) == "too-long"


@given(st.integers(0, 2_000), st.integers(1, 255))
def test_no_bit_of_a_token_can_be_changed(place: int, change: int) -> None:
    parts = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token("ES256").split(".")]
    whole = bytearray(b"".join(parts))
    whole[place % len(whole)] ^= change
    first, second = len(parts[0]), len(parts[0]) + len(parts[1])
    changed = (bytes(whole[:first]), bytes(whole[first:second]), bytes(whole[second:]))
    assert isinstance(verified(".".join(map(encoded, changed))), CallerRefusal)


@given(
    st.text(max_size=200)
    | st.text("aA0-_.=", max_size=60)
    | st.lists(st.binary(max_size=40), max_size=5).map(lambda parts: ".".join(map(encoded, parts)))
)
def test_no_text_is_a_token_and_none_breaks_the_check(text: str) -> None:
    assert isinstance(verified(text), CallerRefusal)
    for header in (text, f"Bearer {text}"):
        found = read_bearer(header)
        assert isinstance(found, CallerRefusal) or isinstance(verified(found), CallerRefusal)


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "scope"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_claims_of_a_signer_break_the_check(payload: bytes) -> None:
    assert isinstance(check_claims(payload, SETTINGS, NOW_S), CallerRefusal)


# The header of a request, and the answer


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer a.b.c", "a.b.c"),
        ("bearer a.b.c", "a.b.c"),
        ("BEARER  a.b.c ", "a.b.c"),
        (None, RefusalReason.MISSING),
        ("", RefusalReason.MALFORMED),
        ("Bearer", RefusalReason.MALFORMED),
        ("Bearer ", RefusalReason.MALFORMED),
        ("Bearer a b", RefusalReason.MALFORMED),
        ("Bearer a.b.c, Basic x", RefusalReason.MALFORMED),
        ("Basic YTpi", RefusalReason.MALFORMED),
        ("a.b.c", RefusalReason.MALFORMED),
    ],
)
def test_a_token_is_read_from_the_header(header: str | None, expected: str) -> None:
    found = read_bearer(header)
    assert (found.reason if isinstance(found, CallerRefusal) else found) == expected


def test_a_refusal_says_no_more_than_it_has_to() -> None:
    """RFC 6750, section 3.1: without a token no error; and never which check failed."""
    missing = CallerRefusal(RefusalReason.MISSING)
    assert (missing.status, missing.challenge) == (401, 'Bearer realm="songline"')
    told = {
        CallerRefusal(reason).challenge
        for reason in RefusalReason
        if reason not in (RefusalReason.MISSING, RefusalReason.SCOPE, RefusalReason.ISSUER_UNAVAILABLE)
    }
    assert told == {'Bearer realm="songline", error="invalid_token"'}
    away = CallerRefusal(RefusalReason.ISSUER_UNAVAILABLE)
    assert (away.status, away.challenge) == (503, None)


def test_a_caller_without_a_scope_is_told_which() -> None:
    caller = Caller("user-7", frozenset({"library:read"}))
    assert needs(caller, Scope.LIBRARY_READ, Scope.LIBRARY_READ_ANY) is None
    refusal = needs(caller, Scope.ADMIN)
    assert refusal is not None
    assert refusal.status == 403
    assert refusal.challenge == 'Bearer realm="songline", error="insufficient_scope", scope="admin"'


@pytest.mark.parametrize(
    ("scopes", "user", "allowed"),
    [
        ({"library:read"}, "user-7", True),
        ({"library:read"}, "user-8", False),
        ({"library:read"}, "USER-7", False),
        ({"library:read:any"}, "user-8", True),
        ({"admin"}, "user-7", False),
        (set(), "user-7", False),
    ],
)
def test_a_caller_reaches_their_own_unless_a_scope_says_otherwise(scopes: set[str], user: str, allowed: bool) -> None:
    caller = Caller("user-7", frozenset(scopes))
    assert caller.may_for(user, Scope.LIBRARY_READ, Scope.LIBRARY_READ_ANY) is allowed
