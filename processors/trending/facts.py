"""What is known of songs: title, artist, genre, and whether they are gone."""

from collections.abc import Iterator

import msgspec

from processors.trending.partials import FACTS, Fact
from schemas.documents import UNKNOWN_GENRE


class Facts:
    """The last fact about each song from each source partition; the latest of these by event time is what holds.

    An uploader lives in one partition, so a song's facts are in order but for those of others (a moderator's
    removal, say); between partitions event time decides, then the higher partition.
    """

    def __init__(self) -> None:
        self._said: dict[str, dict[int, Fact]] = {}
        self._order: dict[tuple[str, int], int] = {}
        self._dirty: set[int] = set()

    def learn(self, partition: int, fact: Fact) -> bool:
        """Take a fact in; whether it is news. An older one than is known of its partition is not."""
        said = self._said.setdefault(fact.song_id, {})
        if partition in said and said[partition].offset >= fact.offset:
            return False
        said[partition] = fact
        slot = self._order.setdefault((fact.song_id, partition), len(self._order))
        self._dirty.add(slot // FACTS)
        return True

    def of(self, song_id: str) -> Fact | None:
        said = self._said.get(song_id)
        return max(said.items(), key=lambda one: (one[1].time_ms, one[0]))[1] if said else None

    def songs(self) -> list[str]:
        """All songs of which anything is known."""
        return list(self._said)

    def genre(self, song_id: str) -> str:
        fact = self.of(song_id)
        return fact.genre if fact is not None and fact.genre is not None else UNKNOWN_GENRE

    def removed(self, song_id: str) -> bool:
        fact = self.of(song_id)
        return fact is not None and fact.removed

    def flush(self) -> Iterator[tuple[int, bytes]]:
        """The pieces that changed since the last flush, by number."""
        dirty, self._dirty = self._dirty, set()
        order = list(self._order)
        for piece in sorted(dirty):
            keys = order[piece * FACTS : (piece + 1) * FACTS]
            yield piece, _encode([(partition, self._said[song_id][partition]) for song_id, partition in keys])

    def restore(self, piece: bytes) -> None:
        """Take in a saved piece. Pieces may come in any order, and of several owners."""
        for partition, fact in _decode(piece):
            self.learn(partition, fact)
        self._dirty.clear()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, Fact]]).decode
