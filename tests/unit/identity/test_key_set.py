"""Which of an issuer's keys are of use."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from songline.identity.key_set import KeySetError, read_key_set
from tests.support.tokens import ec_key, jwk, key_set, rsa_key


def served(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_keys_of_an_issuer_are_known_by_their_ids() -> None:
    found = read_key_set(key_set())
    assert {kid: key.algorithm_name for kid, key in found.items()} == {"rsa": "RS256", "ec": "ES256"}


@pytest.mark.parametrize(
    "other",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "rsa"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "other", "alg": "HS256"},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "other"},
        {"kty": "RSA", "kid": "other"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "other"},
        {"kty": "RSA", "n": 7, "e": [], "kid": "other"},
        {"kty": ["RSA"], "kid": "other"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "other"},
        jwk("other", rsa_key(), use="enc"),
        jwk("other", rsa_key(), alg="RS512"),
        jwk("other", rsa_key(), alg="RSA-OAEP"),
        jwk("other", rsa_key(1024)),
        jwk("other", ec.generate_private_key(ec.SECP384R1())),
        jwk(None, rsa_key()),
        {**jwk("other", rsa_key()), "kid": 7},
        jwk("good", rsa_key(3072)),
        {},
    ],
)
def test_keys_that_are_of_no_use_are_left_out(other: dict[str, Any]) -> None:
    found = read_key_set(served(other, jwk("good", ec_key()), {"kty": "oct", "k": "c2VjcmV0", "kid": "good"}))
    expected = "RS256" if other.get("kid") == "good" else "ES256"
    assert {kid: key.algorithm_name for kid, key in found.items()} == {"good": expected}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"keys": []}', b'{"keys": [7]}', b'{"keys": {}}', served({"kty": "oct"}), b"\xff"],
)
def test_what_has_no_key_of_use_is_refused(body: bytes) -> None:
    with pytest.raises(KeySetError):
        read_key_set(body)
