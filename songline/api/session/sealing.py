"""Texts that only this API can read or make: AES-256-GCM."""

import base64
import binascii
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12


class Sealer:
    """Seals by the first of `keys`, and opens by any of them, so that a key can be followed by another one."""

    def __init__(self, keys: tuple[bytes, ...], random: Callable[[int], bytes] = os.urandom) -> None:
        self._ciphers = [AESGCM(key) for key in keys]
        self._random = random

    def seal(self, purpose: str, content: bytes) -> str:
        """`content` for `purpose`, in base64url. Nobody can read it, or use it for another purpose."""
        nonce = self._random(NONCE_BYTES)
        sealed = nonce + self._ciphers[0].encrypt(nonce, content, purpose.encode())
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, purpose: str, text: str) -> bytes | None:
        """What was sealed for `purpose`; None where the text was changed or another key sealed it."""
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode())
            except (InvalidTag, ValueError):
                continue
        return None
