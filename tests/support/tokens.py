"""An issuer's keys and tokens, made by hand so that every part of a token can be wrong."""

import base64
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from songline.identity.settings import VerifierSettings

ISSUER = "https://login.example/tenant/v2.0"
SETTINGS = VerifierSettings(ISSUER, "songline")
NOW_S = 1_800_000_000.0


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def jwk(kid: str | None, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, **members: Any) -> dict[str, Any]:
    """The public JWK of a key, as Entra serves it: without `alg`."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        made = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
    else:
        made = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
    made.pop("key_ops", None)
    return {**made, "use": "sig", **({} if kid is None else {"kid": kid}), **members}


def other_ec_key() -> ec.EllipticCurvePrivateKey:
    """Another key each time."""
    return ec.generate_private_key(ec.SECP256R1())


def key_set(without: str = "", **others: ec.EllipticCurvePrivateKey) -> bytes:
    """The issuer's keys: `rsa` and `ec`, and `others` by their ids."""
    keys = {"rsa": jwk("rsa", rsa_key()), "ec": jwk("ec", ec_key())}
    kept = [key for kid, key in keys.items() if kid != without]
    return json.dumps({"keys": [*kept, *(jwk(kid, key) for kid, key in others.items())]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; None takes one away."""
    made = {
        "iss": ISSUER,
        "sub": "user-7",
        "aud": "songline",
        "exp": int(NOW_S) + 600,
        "nbf": int(NOW_S),
        "iat": int(NOW_S),
        "scope": "library:read charts:read",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def token(algorithm: str = "RS256", header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token that the issuer signed by the key of that algorithm."""
    kid = {"RS256": "rsa", "ES256": "ec"}[algorithm]
    key = rsa_key() if algorithm == "RS256" else ec_key()
    return jwt.encode(claims(**changes), key, algorithm, {"kid": kid, "typ": "at+jwt", **(header or {})})


def raw_token(header: dict[str, Any], payload: bytes, signature: bytes) -> str:
    """A token of these parts."""
    return ".".join(encoded(part) for part in (json.dumps(header).encode(), payload, signature))


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def public_pem() -> bytes:
    return (
        rsa_key().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
