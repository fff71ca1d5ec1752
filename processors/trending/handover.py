"""A version's state as its worker finds it at its start: what a rebuild has made, in the form of what workers save.

The worker restores it as that of an owner before it. So it may be written again, whole or in part, by a rebuild that
began anew: sets are united, and counts are raised.
"""

from collections.abc import Iterable, Iterator, Mapping

from songline.processors.trending.cells.hour_store import MAX_BLOCK_BYTES
from songline.processors.trending.cells.sealed_blocks import pack_block
from songline.processors.trending.shards.state import Shard, ShardHead, encode_head
from songline.processors.trending.watermark import position_at
from songline.schemas.moments import milliseconds
from songline.schemas.progress import Watermark

Hour = tuple[int, int]
"""A source partition, and a UTC hour since 1970."""

_HEAD = "/head"


def chunks_by_hour(chunks: Mapping[str, bytes | None]) -> dict[Hour, list[bytes]]:
    """The chunks of source partitions' flushes (`SourceFlush.chunks`), of each key the last one, by hour."""
    found: dict[Hour, list[bytes]] = {}
    for key, chunk in chunks.items():
        if chunk is not None:
            partition, hour, *_ = key.split("/")
            found.setdefault((int(partition), int(hour)), []).append(chunk)
    return found


def sealed_blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks in which an hour's chunks are sealed."""
    group: list[bytes] = []
    size_bytes = 0
    for chunk in chunks:
        group.append(chunk)
        size_bytes += len(chunk)
        if size_bytes >= MAX_BLOCK_BYTES:
            yield pack_block(group)
            group, size_bytes = [], 0
    if group:
        yield pack_block(group)


def shard_values(shard: Shard, sources: Mapping[int, Watermark]) -> dict[str, bytes | None]:
    """What is to be saved of a shard, by key, in this order: what changed since the last call, and how far it is.

    `sources`: how far each partition of `music-events` is applied. Positions get the level at which workers count them,
    which is twice the generation.
    """
    values = shard.flush()
    head = next(key for key in values if key.endswith(_HEAD))
    values[head] = encode_head(
        ShardHead(
            {number: position_at(2 * one.generation, one.position) for number, one in sources.items()},
            {number: None if one.through is None else milliseconds(one.through) for number, one in sources.items()},
            waiting=True,
        )
    )
    return values
