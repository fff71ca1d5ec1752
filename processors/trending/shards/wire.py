"""What a shard tells the merge, in the hub `trending-tops`: its top lists, and how fresh they are."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from songline.processors.trending.watermark import ShardWatermark
from songline.schemas.decoding import MsgpackDecoder


class SongLabel(Struct, frozen=True, array_like=True):
    song_id: str
    title: str | None
    artist: str | None
    genre: str | None


class TopK(Struct, frozen=True, array_like=True):
    """The best of one shard for one chart, best first, in columns; `value` is what ranks: listens, or the score as
    a multiple of 2^-32."""

    song: list[str]
    listens: list[int]
    likes: list[int]
    value: list[int]


class ReportPart(Struct, frozen=True, array_like=True):
    """A part of what a shard says at a moment: top lists that are new, with the songs in them.

    A whole frame replaces all that the shard said before. The parts of one frame follow each other: the first one
    has `first`, the last one has the mark.
    """

    shard: int
    first: bool
    whole: bool
    songs: list[SongLabel]
    tops: dict[str, TopK]
    mark: ShardWatermark | None


SONGS = 150
"""New songs a part; with 1,200 bytes each for title and artist a part is under 500 KB."""
TOPS = 20
"""Top lists a part: a hundred lines of at most 128 + 25 bytes each."""


def parts(
    shard: int, whole: bool, songs: list[SongLabel], tops: dict[str, TopK], mark: ShardWatermark
) -> Iterator[bytes]:
    """The bodies of a frame, in their order."""
    keys = list(tops)
    count = max(-(-len(songs) // SONGS), -(-len(keys) // TOPS), 1)
    for part in range(count):
        yield _encode(
            ReportPart(
                shard=shard,
                first=part == 0,
                whole=whole,
                songs=songs[part * SONGS : (part + 1) * SONGS],
                tops={key: tops[key] for key in keys[part * TOPS : (part + 1) * TOPS]},
                mark=mark if part == count - 1 else None,
            )
        )


_encode = msgspec.msgpack.Encoder().encode
decode = MsgpackDecoder(ReportPart).decode
