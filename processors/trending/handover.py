"""A version's state as its worker finds it at its start: what a rebuild has made, in the form of what workers save.

The worker restores it as that of an owner before it. So it may be written again, whole or in part, by a rebuild that
began anew: sets are united, and counts are raised.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress

import msgspec
import numpy as np

from songline.processors.trending.cells.hour_store import BLOCK_BYTES
from songline.processors.trending.cells.sealed_blocks import pack_block
from songline.processors.trending.cells.wire import CountSection
from songline.processors.trending.count_table import KINDS
from songline.processors.trending.plays.backlog import decode_segment
from songline.processors.trending.shards.saved_tables import decode_section
from songline.processors.trending.shards.song_facts import decode_facts
from songline.processors.trending.shards.state import ShardHead, encode_head
from songline.processors.trending.song_index import Which, shard_of
from songline.processors.trending.watermark import position_at
from songline.schemas.moments import milliseconds
from songline.schemas.progress import Watermark

Hour = tuple[int, int]
"""A source partition, and a UTC hour since 1970."""

_HEAD = "/head"

SavedValues = dict[str, bytes | None]
"""What is to be saved of a shard, by key, in this order."""


def hour_of(key: str) -> Hour:
    """The hour of a chunk by its key (`SourceFlush.chunks`)."""
    partition, hour, *_ = key.split("/")
    return int(partition), int(hour)


def chunks_by_hour(chunks: Mapping[str, bytes | None]) -> dict[Hour, list[bytes]]:
    """The chunks of source partitions' flushes (`SourceFlush.chunks`), of each key the last one, by hour."""
    found: dict[Hour, list[bytes]] = {}
    for key, chunk in chunks.items():
        if chunk is not None:
            found.setdefault(hour_of(key), []).append(chunk)
    return found


def sealed_blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks in which an hour's chunks are sealed."""
    group: list[bytes] = []
    size_bytes = 0
    for chunk in chunks:
        group.append(chunk)
        size_bytes += len(chunk)
        if size_bytes >= BLOCK_BYTES:
            yield pack_block(group)
            group, size_bytes = [], 0
    if group:
        yield pack_block(group)


def with_positions(values: SavedValues, sources: Mapping[int, Watermark]) -> SavedValues:
    """What is to be saved of a shard (`Shard.flush`), by its last owner and those before, with how far it is as the
    worker has it.

    `sources`: how far each partition of `music-events` is applied. Positions get the level at which workers count them,
    which is twice the generation.
    """
    heads = [key for key in values if key.endswith(_HEAD)]
    kept = {key: value for key, value in values.items() if key not in heads}
    # Those of the owners before are no further.
    kept[heads[-1]] = encode_head(
        ShardHead(
            {number: position_at(2 * one.generation, one.position) for number, one in sources.items()},
            {number: None if one.through is None else milliseconds(one.through) for number, one in sources.items()},
            waiting=True,
        )
    )
    return kept


def split_values(values: SavedValues, shards: int) -> dict[int, SavedValues]:
    """What one shard that counts all songs saves, as so many shards would have saved it."""
    found: dict[int, SavedValues] = {number: {} for number in range(shards)}
    for key, value in values.items():
        name = key.partition("/")[2]
        for number, part in _parts(name.partition("/")[2], value, shards):
            found[number][f"{number}/{name}"] = part
    return found


def _parts(kind: str, value: bytes | None, shards: int) -> Iterable[tuple[int, bytes | None]]:
    """The shards that have something of a value, and what."""
    if value is None or kind == "head":
        return [(number, value) for number in range(shards)]
    if kind.startswith("facts/"):
        facts = decode_facts(value)
        return _grouped(facts, [shard_of(fact.song_id, shards) for _, fact in facts])
    if kind.startswith("waiting/"):
        days = decode_segment(value)
        return _grouped(days, [shard_of(song_id, shards) for song_id, _ in days])
    section = decode_section(value)
    songs = np.array([shard_of(song_id, shards) for song_id in section.songs], np.int64)
    rows = songs[np.frombuffer(section.song, "<i4")]
    found = np.unique(rows).tolist()
    return [(number, _encode(_rows_of(section, rows == number, songs == number))) for number in found]


def _grouped(values: Sequence[object], shards: Sequence[int]) -> list[tuple[int, bytes | None]]:
    groups: dict[int, list[object]] = {}
    for value, shard in zip(values, shards, strict=True):
        groups.setdefault(shard, []).append(value)
    return [(shard, _encode(group)) for shard, group in groups.items()]


def _rows_of(section: CountSection, rows: Which, songs: Which) -> CountSection:
    """The chosen rows of a section, which are of the chosen songs."""
    numbers = np.cumsum(songs) - 1
    return CountSection(
        songs=list(compress(section.songs, songs.tolist())),
        song=numbers[np.frombuffer(section.song, "<i4")[rows]].astype("<i4").tobytes(),
        region=np.frombuffer(section.region, "<u2")[rows].tobytes(),
        bucket=np.frombuffer(section.bucket, "<i4")[rows].tobytes(),
        counts=np.frombuffer(section.counts, "<i4").reshape(-1, KINDS)[rows].tobytes(),
    )


_encode = msgspec.msgpack.Encoder().encode
