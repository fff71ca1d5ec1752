"""Songs and regions as small integers, so that counting is arithmetic on columns."""

from array import array
from zlib import crc32

import numpy as np
import numpy.typing as npt

from songline.processors.trending.action_hashes import HashColumn
from songline.processors.trending.id_table import IdTable

Ints = npt.NDArray[np.int64]
Which = npt.NDArray[np.bool_]

REGION_BITS = 10
NO_REGION = 0


class RegionIndex(dict[str | None, int]):
    """Region to its number, the same in every process: AA is 1, ZZ is 676, and no region is 0.

    Raises ValueError for what is no region.
    """

    def __missing__(self, region: str | None) -> int:
        if region is None:
            number = NO_REGION
        else:
            if len(region) != 2 or not (region.isascii() and region.isalpha() and region.isupper()):
                raise ValueError(f"{region[:100]!r} is no region")
            first, second = region.encode("ascii")
            number = 1 + (first - 65) * 26 + second - 65
        self[region] = number
        return number


def region_numbers(text: npt.NDArray[np.uint8]) -> Ints:
    """The numbers of regions written in two bytes each, shape (n, 2); NO_REGION for what is no region."""
    first, second = (text - np.uint8(ord("A"))).astype(np.int64).T
    return np.where((first < 26) & (second < 26), 1 + first * 26 + second, NO_REGION)


def region_name(number: int) -> str | None:
    if number == NO_REGION:
        return None
    first, second = divmod(number - 1, 26)
    return chr(65 + first) + chr(65 + second)


def shard_of(song_id: str, shards: int) -> int:
    """The shard that counts a song. Source: CRC-32 as in zlib, modulo the partitions of `trending-partials`."""
    return crc32(song_id.encode()) % shards


class SongIndex(dict[str, int]):
    """Song id to its number in this process: 0, 1, 2, … in the order of their coming.

    Raises ValueError for what is no id.
    """

    def __init__(self, shards: int = 1) -> None:
        self.names: list[str] = []
        self._count = shards
        self._shards = array("q")
        self.hashes = HashColumn()
        self.table = IdTable()
        """In front of this index, for lookups of many songs."""

    def __missing__(self, song_id: str) -> int:
        self.hashes.append(song_id)
        number = len(self.names)
        self[song_id] = number
        self.names.append(song_id)
        self._shards.append(shard_of(song_id, self._count))
        return number

    def numbers(self, song_ids: list[str]) -> Ints:
        return np.fromiter(map(self.__getitem__, song_ids), np.int64, len(song_ids))

    def shards(self) -> Ints:
        """The shard of each song, by number."""
        return np.array(self._shards, np.int64)


def pair(song: Ints, region: Ints) -> Ints:
    """One integer for a song and a region."""
    return song << REGION_BITS | region
