"""Positions that can be compared although the hub was made anew in between: each has a level, and goes beyond all of
lower levels. Level 0 is that of positions that are noted as they are."""

from collections.abc import Iterable

from songline.schemas.progress import GENERATION, lasting_position


def lift(level: int, offset: int) -> int:
    """The position of an offset, -1 for none, at a level."""
    return lasting_position(level, offset)


def split(position: int) -> tuple[int, int]:
    """The level and the offset of a position."""
    level, offset = divmod(position + 1, GENERATION)
    return level, offset - 1


def lowest(positions: Iterable[int]) -> int:
    """The lowest offset of the highest level that is among the positions; -1 where one is of a lower level."""
    found = sorted(map(split, positions))
    (first, offset), (last, _) = found[0], found[-1]
    return offset if first == last else -1
