"""The issuer's signing keys: which one signs, and which ones clients still need to know."""

from typing import Any

import msgspec

from localcloud.identity.config import MAX_TOKEN_S, SigningAlgorithm

KEY_AGE_S = 90 * 86_400
"""A key signs for so long; then a new one is made."""


class SigningKey(msgspec.Struct, frozen=True):
    """A key as a JWK with its private part. `retired_s` (unix seconds) is when another one took over, None before."""

    kid: str
    algorithm: SigningAlgorithm
    created_s: float
    jwk: dict[str, Any]
    retired_s: float | None = None

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"


class KeyRing(msgspec.Struct, frozen=True):
    """Keys in the order in which they were made; the last one signs unless it is retired."""

    keys: tuple[SigningKey, ...] = ()

    def current(self, algorithm: SigningAlgorithm, now_s: float) -> SigningKey | None:
        """The key that signs, None where a new one is due: there is none, it is old, or of another algorithm."""
        last = self.keys[-1] if self.keys else None
        if last is None or last.retired_s is not None or last.algorithm != algorithm:
            return None
        return last if now_s - last.created_s < KEY_AGE_S else None

    def published(self, now_s: float) -> tuple[SigningKey, ...]:
        """The keys by which a token may be signed that is still good at `now_s`."""
        return tuple(key for key in self.keys if key.retired_s is None or now_s < key.retired_s + MAX_TOKEN_S)

    def rotated(self, new: SigningKey, now_s: float) -> "KeyRing":
        """The ring in which `new` signs. Earlier keys stay until their last tokens are over."""
        retired = (
            key if key.retired_s is not None else msgspec.structs.replace(key, retired_s=now_s)
            for key in self.published(now_s)
        )
        return KeyRing((*retired, new))
