"""Signing keys in a file that only its owner may read, made when the first one is needed."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from localcloud.identity.config import SigningAlgorithm
from localcloud.identity.errors import IdentityStateError
from localcloud.identity.key_ring import KeyRing, SigningKey
from localcloud.private_file import write_private
from localcloud.unreadable import UNREADABLE

RSA_BITS = 2048


PUBLIC = "jwks.json"
"""The public keys, in a file beside the others: programs of the same user need not ask who answers on a port."""


class SigningKeys:
    """The key ring of `file`. Keys are made for `algorithm`; earlier ones of another stay known for their tokens."""

    def __init__(self, file: Path, algorithm: SigningAlgorithm) -> None:
        """Raises IdentityStateError and OSError."""
        self._file = file
        self._algorithm = algorithm
        self._ring = _read(file)
        self._public = file.with_name(PUBLIC)
        if self._ring.keys and not self._public.exists():
            self._publish(self._ring.keys)

    def current(self, now_s: float) -> SigningKey:
        """The key that signs at `now_s`, made if one is due: in up to a quarter of a second. Raises OSError."""
        return self._ring.current(self._algorithm, now_s) or self.rotate(now_s)

    def rotate(self, now_s: float) -> SigningKey:
        """Make the key that signs from now on. Raises OSError, and changes nothing then."""
        made = new_key(self._algorithm, now_s)
        ring = self._ring.rotated(made, now_s)
        # Before anything is signed by the new one.
        self._publish(ring.published(now_s))
        write_private(self._file, msgspec.json.encode(ring))
        self._ring = ring
        return made

    def _publish(self, keys: Sequence[SigningKey]) -> None:
        write_private(self._public, msgspec.json.encode(_public_set(keys)))

    def public(self, now_s: float) -> dict[str, Any]:
        """The JWK set (RFC 7517) of all keys whose tokens may still be good. Raises OSError."""
        self.current(now_s)
        return _public_set(self._ring.published(now_s))


def _public_set(keys: Sequence[SigningKey]) -> dict[str, Any]:
    return {"keys": [imported(key).as_dict(private=False) for key in keys]}


def imported(key: SigningKey) -> Any:
    """The key as joserfc has it."""
    return _imported(msgspec.json.encode(key.jwk))


# To check that an RSA key fits together takes 35 ms.
@lru_cache(maxsize=8)
def _imported(jwk: bytes) -> Any:
    from joserfc.jwk import import_key

    return import_key(msgspec.json.decode(jwk))


def new_key(algorithm: SigningAlgorithm, now_s: float) -> SigningKey:
    """A key whose id is its thumbprint (RFC 7638)."""
    # Imported here, as few who start localcloud ask for a token.
    from joserfc.jwk import ECKey, RSAKey

    made = RSAKey.generate_key(RSA_BITS) if algorithm == "RS256" else ECKey.generate_key("P-256")
    kid = made.thumbprint()
    jwk = {**made.as_dict(private=True), "kid": kid, "use": "sig", "alg": algorithm}
    return SigningKey(kid, algorithm, now_s, jwk)


def _read(file: Path) -> KeyRing:
    try:
        return msgspec.json.decode(file.read_bytes(), type=KeyRing)
    except FileNotFoundError:
        return KeyRing()
    except UNREADABLE:
        # Not with the decoder's words: these could quote a key.
        raise IdentityStateError(
            f"{file} holds no signing keys: it was changed or damaged. Delete it, and new keys are made; tokens that "
            "were signed by the old ones are refused then"
        ) from None
