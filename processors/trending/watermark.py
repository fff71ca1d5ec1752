"""Watermarks: how far the source partitions are counted.

Positions can be compared although a hub was made anew: a position has a level, and is beyond all positions of lower
levels. Level 0 is that of plain offsets.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from songline.schemas.progress import GENERATION, lasting_position

CLOCKS_DIFFER_MS = 120_000
"""The clocks of two workers differ by less."""


def position_at(level: int, offset: int) -> int:
    """The position of an offset at a level; `offset` is -1 for none."""
    return lasting_position(level, offset)


def level_and_offset(position: int) -> tuple[int, int]:
    """The level of a position, and its offset."""
    level, offset = divmod(position + 1, GENERATION)
    return level, offset - 1


def lowest_offset(positions: Iterable[int]) -> int:
    """The lowest offset among positions of one level; -1 where the positions are of several levels."""
    found = sorted(map(level_and_offset, positions))
    (first, offset), (last, _) = found[0], found[-1]
    return offset if first == last else -1


class ShardWatermark(Struct, frozen=True, array_like=True):
    """How far a shard is at a moment.

    `as_of_ms`: the moment at which its windows end. `positions`: source partition to the position of the last event
    that is counted. `watermarks_ms`: source partition to the moment before which every event of it is counted, None
    while that is not known.
    """

    as_of_ms: int
    positions: dict[int, int]
    watermarks_ms: dict[int, int | None]


class SourceWatermarks:
    """How far each source partition is applied to a shard. No position ever falls, and no watermark unless a clock was
    set back."""

    def __init__(self) -> None:
        self.positions: dict[int, int] = {}
        self.watermarks_ms: dict[int, int | None] = {}

    def advance(self, source: int, position: int, watermark_ms: int | None) -> None:
        """Advance a source to a position and a watermark; None leaves its watermark as it is."""
        self.positions[source] = max(self.positions.get(source, -1), position)
        known = self.watermarks_ms.get(source)
        self.watermarks_ms[source] = known if watermark_ms is None else max(known or 0, watermark_ms)

    def as_of(self, now_ms: int) -> ShardWatermark:
        """A copy, with the moment at which the windows end, and no watermark that is later. One that is much later is
        of a clock that was set back since, and is not known any more."""
        for source, ms in self.watermarks_ms.items():
            if ms is not None and ms - now_ms > CLOCKS_DIFFER_MS:
                self.watermarks_ms[source] = None
        known = {source: None if ms is None else min(ms, now_ms) for source, ms in self.watermarks_ms.items()}
        return ShardWatermark(now_ms, dict(self.positions), known)


def common_positions(watermarks: Sequence[ShardWatermark]) -> dict[str, int]:
    """Source partition to the offset up to which all shards have applied it. A source that is unknown to one of the
    shards is left out."""
    common = set.intersection(*(set(one.positions) for one in watermarks))
    return {str(source): lowest_offset([one.positions[source] for one in watermarks]) for source in sorted(common)}


def common_watermark_ms(watermarks: Sequence[ShardWatermark]) -> int | None:
    """The moment before which every event of every source is applied by every shard; None while one of them is not
    known."""
    known = [one.watermarks_ms.get(source) for one in watermarks for source in one.watermarks_ms]
    if not known or any(ms is None for ms in known):
        return None
    return min(ms for ms in known if ms is not None)
