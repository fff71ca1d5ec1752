"""The messages of the hub `trending-tops`: the reports of the shards, in parts."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from songline.processors.trending.watermark import ShardWatermark
from songline.schemas.decoding import MsgpackDecoder

MAX_WHOLE_SCORE = 2**63 - 1
"""The greatest whole number of a message. A score of more has 53 bits, as charts show it in any case."""


class SongLabel(Struct, frozen=True, array_like=True):
    """What charts show of a song."""

    song_id: str
    title: str | None
    artist: str | None
    genre: str | None


class TopK(Struct, frozen=True, array_like=True):
    """The best songs of one shard for one chart, best first, in columns. `value` ranks them: the listens, or the score
    as a multiple of 2^-32, which is a float where it is more than MAX_WHOLE_SCORE."""

    song: list[str]
    listens: list[int]
    likes: list[int]
    value: list[int | float]


class ReportPart(Struct, frozen=True, array_like=True):
    """A part of a shard's report: top lists that are new, by chart, and the labels of the songs in them.

    A whole report replaces everything that the shard reported before. The parts of a report follow each other: the
    first one has `first`, and the last one has the watermark. A report that is not `scoped` has the global lists only:
    those of regions and genres are as of the last report that was. Older versions reported all of them each time.
    A report with an `hour` (since 1970) has the lists at its first moment, for its snapshots, and is whole.
    `owner` is that of the shard, empty from older versions.
    """

    shard: int
    first: bool
    whole: bool
    songs: list[SongLabel]
    tops: dict[str, TopK]
    watermark: ShardWatermark | None
    scoped: bool = True
    hour: int | None = None
    owner: str = ""


SONGS = 150
"""Labels a part; with 1,200 bytes each for title and artist a part is under 500 KB."""
TOPS = 20
"""Top lists a part: a hundred lines of at most 128 + 25 bytes each."""


def report_bodies(
    shard: int,
    whole: bool,
    songs: list[SongLabel],
    tops: dict[str, TopK],
    watermark: ShardWatermark,
    *,
    scoped: bool = True,
    hour: int | None = None,
    owner: str = "",
) -> Iterator[bytes]:
    """The parts of a report, in their order."""
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
                watermark=watermark if part == count - 1 else None,
                scoped=scoped,
                hour=hour,
                owner=owner,
            )
        )


_encode = msgspec.msgpack.Encoder().encode
decode = MsgpackDecoder(ReportPart).decode
