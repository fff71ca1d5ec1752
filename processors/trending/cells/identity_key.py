"""The key under which actions are known in everything that is saved.

An action's hash can be computed by everybody who guesses the listener and the song. So what is held and saved is the
hash encrypted by a key of 128 bits: without the key nothing can be guessed from it, and two actions of a listener have
nothing in common. Encryption of one block is a permutation: no two hashes become one. The key lies in another store
than what is saved under it.
"""

import re
from threading import Lock

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from songline.processors.trending.action_hashes import Hashes, hashes_of

KEY_BYTES = 16
ID_BYTES = 8
UPLOADER = re.compile(r"[0-9a-f]{32}")
"""The form in which an uploader is known."""

_WORD = np.dtype("<u8")
_UPLOADER = 3
"""Behind the kinds of actions, which are 0 to 2."""


class IdentityKey:
    """AES-128 under a secret, a block for each hash. `id` tells keys apart and says nothing of the secret."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"the key of trending's sets has {len(secret)} bytes, expected {KEY_BYTES}")
        # Every hash is a block by itself, and no two are alike.
        self._encryptor = Cipher(algorithms.AES(secret), modes.ECB()).encryptor()  # noqa: S305 - see above
        # Shards are restored in threads, and an encryptor that another thread uses raises RuntimeError.
        self._using = Lock()
        # The key check value of payment systems: the encrypted block of zeros.
        self.id = self._encryptor.update(bytes(KEY_BYTES))[:ID_BYTES]

    def identities(self, hashes: Hashes) -> Hashes:
        """The identities of actions with these hashes, shape (n, 2)."""
        blocks = np.ascontiguousarray(hashes, _WORD)
        with self._using:
            encrypted = self._encryptor.update(blocks.tobytes())
        return np.frombuffer(encrypted, _WORD).astype(np.uint64).reshape(-1, 2)

    def uploader(self, user_id: str, song_id: str) -> str:
        """Under what the uploader of a song is known: 32 hexadecimal digits, others for each song."""
        return self.identities(hashes_of([(_UPLOADER, user_id, song_id)])).astype(_WORD).tobytes().hex()
