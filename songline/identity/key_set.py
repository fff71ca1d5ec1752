"""An issuer's public keys: a JWK set (RFC 7517), of which only keys are kept that may sign access tokens."""

from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import Struct

from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
"""The algorithm of a key, by its type. All others are refused: shared secrets, and none."""
MIN_RSA_BITS = 2048
MAX_KEYS = 100

KeySet = Mapping[str, jwt.PyJWK]
"""Keys by their id."""


class KeySetError(Exception):
    """What an issuer serves is no JWK set, or has no key that is of use."""


class _KeySetDocument(Struct):
    keys: list[dict[str, Any]]


_documents = Decoder(_KeySetDocument, "not-an-answer")


def read_key_set(body: bytes) -> KeySet:
    """The keys of use in `body`. Raises KeySetError where there is none: the keys that were known stay then."""
    try:
        entries = _documents.decode(body).keys
    except PoisonError as poison:
        raise KeySetError(f"no JWK set: {poison.detail}") from None
    found: dict[str, jwt.PyJWK] = {}
    for entry in entries[:MAX_KEYS]:
        kid, key = entry.get("kid"), _key(entry)
        if isinstance(kid, str) and key is not None:
            found.setdefault(kid, key)
    if not found:
        raise KeySetError(f"none of its {len(entries)} keys is an RSA or P-256 key with an id, for signatures")
    return found


def _key(entry: Mapping[str, Any]) -> jwt.PyJWK | None:
    """The key, None for one that is of no use. Entra's keys do not name their algorithm."""
    algorithm = ALGORITHMS.get(str(entry.get("kty")))
    if algorithm is None or entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return None
    try:
        # The public part alone.
        key = jwt.PyJWK({name: entry[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in entry}, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    match key.key:
        case RSAPublicKey() as rsa if rsa.key_size >= MIN_RSA_BITS:
            return key
        case EllipticCurvePublicKey() as curve if curve.curve.name == "secp256r1":
            return key
    return None
