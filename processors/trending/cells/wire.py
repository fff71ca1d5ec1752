"""The messages of the hub `trending-partials`: absolute counts of what has changed in a source partition's cells."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple, Self

import msgspec
import numpy as np
from msgspec import Struct, structs

from songline.processors.trending.count_table import KINDS
from songline.processors.trending.song_index import REGION_BITS, Ints, SongIndex
from songline.processors.trending.sorted_columns import Column
from songline.processors.trending.spans import Unit
from songline.schemas.decoding import MsgpackDecoder
from songline.schemas.ownership import NOBODY, Claim

ROWS = 3_000
"""Rows a message: at most 128 + 30 bytes each, so under 500 KB in all."""
FACTS = 100
"""Facts a message: title and artist take up to 1,200 bytes each."""


class CountSection(Struct, frozen=True, array_like=True):
    """Counts of one unit of buckets, in columns of equal length.

    `song` (int32) points into `songs`; `region` (uint16) is a region's number; `bucket` (int32) counts minutes or
    hours since 1970; `counts` (int32, three a row) are listens, likes and unlikes since the bucket began.
    """

    songs: list[str]
    song: bytes
    region: bytes
    bucket: bytes
    counts: bytes


class SongFact(Struct, frozen=True, array_like=True):
    """The last upload or removal of a song by a user in a partition. Of a removal there is no title, artist or genre.

    `claim`: where the user's first upload of the song stands in that partition. `again`: the event had been parked and
    was sent again. `is_keyed`: the user is known by `IdentityKey.uploader`; by their id in facts of earlier releases.
    Facts that were sent and saved before they had users have neither `user_id` nor `claim`. `more_genres`: those beside
    `genre`; facts of earlier releases have none.
    """

    song_id: str
    time_ms: int
    offset: int
    removed: bool
    title: str | None = None
    artist: str | None = None
    genre: str | None = None
    user_id: str = NOBODY
    claim: Claim | None = None
    again: bool = False
    is_keyed: bool = False
    more_genres: tuple[str, ...] = ()

    @property
    def genres(self) -> tuple[str, ...]:
        """All genres."""
        return self.more_genres if self.genre is None else (self.genre, *self.more_genres)

    @property
    def position(self) -> int:
        """The offset, under the name that `songline.schemas.ownership` reads."""
        return self.offset

    def claiming(self, claim: Claim | None) -> Self:
        """The same fact with another claim."""
        return structs.replace(self, claim=claim)


class Partial(Struct, frozen=True, array_like=True):
    """A message: the source `partition`, what changed, and how far that goes.

    `position`: that of the last event that is in the counts, -1 for none. `watermark_ms`: every event that the
    partition had before this moment is in the counts. Both are None where another message of the same flush follows.
    `hour`: the counts are those of all that the partition had before the first moment of this hour (since 1970), and
    of nothing else; None for any other moment.
    """

    partition: int
    position: int | None
    watermark_ms: int | None
    minutes: CountSection
    hours: CountSection
    facts: list[SongFact]
    hour: int | None = None


class CountRows(Struct, frozen=True):
    """Counts in columns, `pair` being a song and a region in one integer (see `song_index.pair`)."""

    pair: Ints
    bucket: Ints
    counts: Ints

    def __len__(self) -> int:
        return len(self.pair)

    def select(self, which: Ints | slice) -> "CountRows":
        """The rows at these places."""
        return CountRows(self.pair[which], self.bucket[which], self.counts[which])


def no_rows() -> CountRows:
    nothing = np.zeros(0, np.int64)
    return CountRows(nothing, nothing, np.zeros((0, KINDS), np.int64))


def join_rows(parts: list[CountRows]) -> CountRows:
    if not parts:
        return no_rows()
    return CountRows(
        np.concatenate([part.pair for part in parts]),
        np.concatenate([part.bucket for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )


def pack(rows: CountRows, songs: SongIndex) -> CountSection:
    """The rows as a section that names its songs."""
    numbers, song = np.unique(rows.pair >> REGION_BITS, return_inverse=True)
    return CountSection(
        songs=[songs.names[number] for number in numbers.tolist()],
        song=song.astype("<i4").tobytes(),
        region=(rows.pair & (1 << REGION_BITS) - 1).astype("<u2").tobytes(),
        bucket=rows.bucket.astype("<i4").tobytes(),
        counts=rows.counts.astype("<i4").tobytes(),
    )


class SectionColumns(NamedTuple):
    """Sections, those of each behind those of the one before. `rows` and `names`: how many of each section. `song`
    points into `songs`."""

    rows: Ints
    names: Ints
    songs: list[str]
    song: Ints
    region: Column
    bucket: Column
    counts: Column

    def pairs(self, songs: SongIndex) -> Ints:
        """Song and region of each row, by the numbers that songs have in `songs`."""
        return songs.numbers(self.songs)[self.song] << REGION_BITS | self.region


def join_sections(sections: Sequence[CountSection]) -> SectionColumns:
    """The columns of sections."""
    rows = np.array([len(one.song) // 4 for one in sections], np.int64)
    names = np.array([len(one.songs) for one in sections], np.int64)
    begins = np.repeat(np.cumsum(names) - names, rows)
    return SectionColumns(
        rows,
        names,
        list(chain.from_iterable(one.songs for one in sections)),
        np.frombuffer(b"".join([one.song for one in sections]), "<i4") + begins,
        np.frombuffer(b"".join([one.region for one in sections]), "<u2"),
        np.frombuffer(b"".join([one.bucket for one in sections]), "<i4"),
        np.frombuffer(b"".join([one.counts for one in sections]), "<i4").reshape(-1, KINDS),
    )


def partial_bodies(
    partition: int,
    position: int,
    watermark_ms: int | None,
    rows: dict[Unit, CountRows],
    facts: list[SongFact],
    songs: SongIndex,
    hour: int | None = None,
) -> Iterator[bytes]:
    """The messages of one flush to one shard, in their order; at least one, and the last has the position."""
    minutes, hours = rows["minute"], rows["hour"]
    half = ROWS // 2
    count = max(-(-len(minutes) // half), -(-len(hours) // half), -(-len(facts) // FACTS), 1)
    for part in range(count):
        last = part == count - 1
        these = slice(part * half, (part + 1) * half)
        yield _encode(
            Partial(
                partition=partition,
                position=position if last else None,
                watermark_ms=watermark_ms if last else None,
                minutes=pack(minutes.select(these), songs),
                hours=pack(hours.select(these), songs),
                facts=facts[part * FACTS : (part + 1) * FACTS],
                hour=hour if last else None,
            )
        )


_encode = msgspec.msgpack.Encoder().encode
decode = MsgpackDecoder(Partial).decode
