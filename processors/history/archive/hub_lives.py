"""Which life of its hub each file of a partition is of: sequence numbers begin anew when a hub was made anew. Pure.

Within a life of a hub, moments rise with positions. So a file whose events are all later than those of another one,
though its positions begin before the other's end, is of the hub's next life: a generation. A copy of a file, and a file
that overlaps another, have the same events at the same moments.

A writer's clock may be wrong. Then the others tell: they go on as one life, and the file fills what they lack, or is a
copy of one of them. What begins with position 0 may be a copy, or what was sent again to a hub that was made anew: that
looks the same, and when the hub was created tells. Where that is not known, it is of the next life.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from enum import Enum

from msgspec import Struct

from songline.processors.history.archive.file_facts import FileFacts, FileRange

SKEW_S = 2
"""An event that a hub took so long after its creation is not of the hub before."""


class Contradiction(Enum):
    """What a file is that is later than others, though its positions begin before theirs end."""

    NEXT_LIFE = "the first file of the hub's next life"
    WRONG_CLOCK = "its own moments are wrong"
    WRONG_BEFORE = "the moments of the others are wrong"


class LifeFile(Struct):
    """A file that has events, and the number of its life. `is_odd`: its clock was wrong."""

    facts: FileFacts
    range: FileRange
    life: int = 0
    is_odd: bool = False


class Life:
    """The files of one life of the hub whose moments are right, in the order in which they are added: by moment."""

    def __init__(self) -> None:
        self._lasts: list[int] = []
        self._files: list[LifeFile] = []
        """By their last positions, which are in `_lasts`."""

    def contradicts(self, one: FileRange) -> bool:
        """Whether files that are here begin before the next one, `one`, and end behind its first position."""
        at = bisect_left(self._lasts, one.first)
        return at < len(self._lasts) and one.first_s > self._files[at].range.last_s

    def judge(self, one: FileRange, later: Sequence[LifeFile], created_at: datetime | None) -> Contradiction:
        """What a file is that contradicts this life. `later` are those after it, by moment; `created_at` is when the
        hub was created, None where that is not known."""
        before = [known.range for known in self._files[bisect_left(self._lasts, one.first) :]]
        first, last = min(known.first for known in before), self._lasts[-1]
        edge = run = one.last
        for found in (after.range for after in later):
            if found.first > edge + 1 and found.first == last + 1:
                # This life goes on behind its end, and nothing else leads there.
                return Contradiction.WRONG_BEFORE if edge + 1 == first else Contradiction.WRONG_CLOCK
            edge = max(edge, found.last)
            if found.first <= run + 1:
                run = max(run, found.last)
        was_not_anew = created_at is not None and self._is_of(created_at)
        if _are_copies([one], before, with_first=was_not_anew):
            return Contradiction.WRONG_CLOCK
        is_gap = self._lacks(one.first, run)
        if is_gap or edge + 1 == first or _are_copies(before, [after.range for after in later]):
            return Contradiction.WRONG_BEFORE
        return Contradiction.NEXT_LIFE

    def add(self, one: LifeFile) -> None:
        """Add the next file."""
        at = bisect_left(self._lasts, one.range.last)
        if at == len(self._lasts) or self._lasts[at] != one.range.last:
            self._lasts.insert(at, one.range.last)
            self._files.insert(at, one)

    def drop_from(self, position: int) -> list[LifeFile]:
        """Drop the files that end at `position` or behind it, and return them."""
        at = bisect_left(self._lasts, position)
        dropped = self._files[at:]
        del self._lasts[at:], self._files[at:]
        return dropped

    def _is_of(self, created_at: datetime) -> bool:
        """Whether this is the life of the hub that was created at `created_at`. Most files decide."""
        seconds = sorted(one.range.first_s for one in self._files)
        return seconds[len(seconds) // 2] >= int(created_at.timestamp()) + SKEW_S

    def _lacks(self, first: int, last: int) -> bool:
        """Whether a gap between two files begins at the position `first`; before the first file, whether it ends at
        `last`: a hub that was made anew begins with position 0 too."""
        at = bisect_left(self._lasts, first)
        beyond = min(known.range.first for known in self._files[at:])
        if first == 0:
            return beyond == last + 1
        return at > 0 and self._lasts[at - 1] == first - 1 and beyond > first


def files_by_life(files: Sequence[FileFacts], created_at: datetime | None = None) -> list[LifeFile]:
    """The files that have events, by moment, each with the number of its life. `created_at`: when the hub that is there
    now was created, None where that is not known."""
    found = [LifeFile(one, one.range) for one in files if one.range is not None]
    found.sort(key=lambda one: (one.range.first_s, one.range.first, one.range.last))
    number, life = 0, Life()
    for place, one in enumerate(found):
        if life.contradicts(one.range):
            match life.judge(one.range, found[place + 1 :], created_at):
                case Contradiction.NEXT_LIFE:
                    number, life = number + 1, Life()
                case Contradiction.WRONG_BEFORE:
                    for odd in life.drop_from(one.range.first):
                        odd.is_odd = True
                case Contradiction.WRONG_CLOCK:
                    one.is_odd = True
        one.life = number
        if not one.is_odd:
            life.add(one)
    return found


def _are_copies(some: Sequence[FileRange], others: Sequence[FileRange], *, with_first: bool = False) -> bool:
    """Whether each of some files has the same events as one of others, as far as their ends tell. With `with_first`
    also one that begins with position 0."""
    known = {(one.first, one.last, one.mark) for one in others}
    return all((one.first or with_first) and one.mark and (one.first, one.last, one.mark) in known for one in some)
