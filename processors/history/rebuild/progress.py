"""How far a rebuild is: what its folds count, its rate, and the time left. Pure."""

from msgspec import Struct

from songline.schemas.progress import split_position


class PartitionFoldCount(Struct):
    """A partition: the lasting `position` of its last event that is written, and of the last one that there is to fold
    (`end`); None while that is not known."""

    position: int
    end: int | None = None


class RebuildCount(Struct):
    """What a rebuild has done. Its folds change it; what shows it only reads it.

    `events` were folded since it began or went on, `unreadable` of them could not be decoded, and `refused` were
    refused by the store. `before`: how many were folded and could not be decoded by the rebuilds before, as far as that
    holds; None where it is as they recorded. `trouble` is what is waited out at the moment, empty for nothing.
    """

    partitions: dict[str, PartitionFoldCount] = {}
    events: int = 0
    unreadable: int = 0
    before: tuple[int, int] | None = None
    refused: list[str] = []
    trouble: str = ""

    @property
    def left(self) -> int | None:
        """How many events are to be folded yet; None while that is not known."""
        if not self.partitions or any(one.end is None for one in self.partitions.values()):
            return None
        return sum(max(0, (one.end or 0) - one.position) for one in self.partitions.values())

    def line(self, passed_s: float, earlier: int = 0) -> str:
        """The progress as a sentence, `passed_s` seconds after it began; `earlier`: events of rebuilds before."""
        rate = self.events / passed_s if passed_s > 0 else 0.0
        text = f"{earlier + self.events:,} events folded, {rate:,.0f} a second"
        if (left := self.left) is not None:
            text += f", {left:,} left"
            if rate and left:
                text += f", about {_duration(left / rate)}"
        if self.unreadable:
            text += f"; {self.unreadable:,} can't be decoded"
        if self.refused:
            text += f"; {len(self.refused):,} were refused by the store"
        return f"{text}; waits: {self.trouble}" if self.trouble else text


def events_between(before: int, after: int) -> int:
    """How many events there are behind the lasting position `before`, up to `after`. Of a hub that was made anew
    between them, nothing is known of the one before."""
    (generation, position), (later, last) = split_position(before), split_position(after)
    return max(0, last - (position if generation == later else -1))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
