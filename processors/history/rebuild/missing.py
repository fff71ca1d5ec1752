"""Which events a rebuild passed over, by position: each counted once, however often a rebuild that was killed finds it.
Pure."""

from collections.abc import Iterable, Mapping, Sequence

from songline.processors.history.archive.errors import Hole
from songline.schemas.progress import lasting_position, split_position
from songline.schemas.projections import PositionRange

MAX_RANGES = 1_000
"""So many ranges of a partition are kept with a version; of others only the number is."""
SHOWN = 20


class MissingEvents:
    """What is missing: `count` in all, and where, as far as `ranges` have it, of lasting positions by partition."""

    def __init__(self, count: int, ranges: Mapping[str, Sequence[PositionRange]]) -> None:
        self.ranges = {partition: list(known) for partition, known in ranges.items()}
        self._elsewhere = count - _count(self.ranges)

    @property
    def count(self) -> int:
        return self._elsewhere + _count(self.ranges)

    def with_holes(self, holes: Iterable[Hole]) -> "MissingEvents":
        """These and what the holes lack."""
        found = {partition: list(known) for partition, known in self.ranges.items()}
        for hole in holes:
            first, last = (lasting_position(hole.generation, at) for at in (hole.first, hole.last))
            found.setdefault(hole.partition, []).append(PositionRange(first, last))
        joined = {partition: _joined(ranges) for partition, ranges in found.items()}
        kept = {partition: ranges[:MAX_RANGES] for partition, ranges in joined.items()}
        return MissingEvents(self._elsewhere + _count(joined), kept)

    def lines(self) -> list[str]:
        """What is missing as sentences, one for each partition."""
        ordered = sorted(self.ranges.items(), key=lambda one: (len(one[0]), one[0]))
        return [
            f"partition {partition} lacks {_count({partition: found}):,} events: {_places(found)}"
            for partition, found in ordered
        ]


def _joined(ranges: Iterable[PositionRange]) -> list[PositionRange]:
    """The ranges in order; those that touch are one."""
    found: list[PositionRange] = []
    for one in sorted(ranges, key=lambda one: (one.first, one.last)):
        if found and one.first <= found[-1].last + 1:
            found[-1] = PositionRange(found[-1].first, max(found[-1].last, one.last))
        else:
            found.append(one)
    return found


def _count(ranges: Mapping[str, Sequence[PositionRange]]) -> int:
    return sum(one.last - one.first + 1 for known in ranges.values() for one in known)


def _places(ranges: Sequence[PositionRange]) -> str:
    text = ", ".join(map(_words, ranges[:SHOWN]))
    return text if len(ranges) <= SHOWN else f"{text}, and {len(ranges) - SHOWN:,} places more"


def _words(one: PositionRange) -> str:
    (generation, first), (_, last) = split_position(one.first), split_position(one.last)
    again = f" of the hub's generation {generation}" if generation else ""
    return (f"{first}" if first == last else f"{first} to {last}") + again
