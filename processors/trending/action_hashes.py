"""Actions known by 128 bits: a hash of kind, listener and song, in columns.

A listener's and a song's id are hashed each by itself, once, and an action's hash is put together from the two by
arithmetic on columns. Two actions of an hour share a hash with a chance of 2^-128 a pair, which for 10^9 actions is
less than 10^-20. The hashes are saved, so the function never changes.
"""

import re
from array import array
from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain

import numpy as np
import numpy.typing as npt

from songline.processors.trending.id_table import IdTable
from songline.schemas.types import ID_PATTERN

Hashes = npt.NDArray[np.uint64]
"""Two words a row, shape (n, 2). Each is distributed evenly, so either may address a table."""

MAX_USERS = 65_536
ID_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"

_ID = re.compile(ID_PATTERN)

# Odd, so that a multiplication loses nothing.
_SONG_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_KIND_FACTOR = np.uint64(0xD1B54A32D192ED03)


def id_hash(id_: str) -> tuple[int, int]:
    """The two words of an id's hash: BLAKE2b of 16 bytes of its UTF-8, little-endian."""
    digest = blake2b(id_.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


class HashColumn:
    """Hashes of ids, in the order of their coming."""

    def __init__(self) -> None:
        self._words = array("Q")

    def append(self, id_: str) -> None:
        """Add an id's hash; raises ValueError for what is no id."""
        if _ID.search(id_) is None:
            raise ValueError(f"{id_[:100]!r} is no id")
        self._words.extend(id_hash(id_))

    def of(self, numbers: npt.NDArray[np.int64]) -> Hashes:
        """The hashes at these places."""
        return np.frombuffer(self._words, np.uint64).reshape(-1, 2)[numbers]


class UserHashes(dict[str, int]):
    """Listeners' ids to their places in `hashes`: of those that came last, since there is no end of listeners.

    Raises ValueError for what is no id.
    """

    def __init__(self) -> None:
        self.hashes = HashColumn()
        self.table = IdTable()
        """In front of this index, for lookups of many listeners."""

    def __missing__(self, user_id: str) -> int:
        self.hashes.append(user_id)
        place = self[user_id] = len(self)
        return place

    def trim(self) -> None:
        """Forget all where they are MAX_USERS or more; places that were given are void then."""
        if len(self) >= MAX_USERS:
            self.clear()
            self.table.clear()
            self.hashes = HashColumn()


def action_hashes(kinds: npt.NDArray[np.int64], users: Hashes, songs: Hashes) -> Hashes:
    """The hashes of actions, from their kinds and the hashes of their listeners and songs."""
    hashes: Hashes = users + songs * _SONG_FACTOR + (kinds.astype(np.uint64) * _KIND_FACTOR)[:, np.newaxis]
    return hashes


def hashes_of(actions: Sequence[tuple[int, str, str]]) -> Hashes:
    """The hashes of actions given as kind, listener and song."""
    if not actions:
        return np.zeros((0, 2), np.uint64)
    kinds, users, songs = zip(*actions, strict=True)
    return action_hashes(np.array(kinds, np.int64), _hashed(users), _hashed(songs))


def _hashed(ids: Sequence[str]) -> Hashes:
    return np.fromiter(chain.from_iterable(map(id_hash, ids)), np.uint64, 2 * len(ids)).reshape(-1, 2)
