"""Which files of a partition belong together: sequence numbers begin anew when a hub was made anew. Pure.

Within a life of a hub, moments rise with positions. So a file whose events are all later than those of another one,
though its positions begin before the other's end, is of the hub's next life: a generation. A copy of a file, and a file
that overlaps another, have the same events at the same moments.
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from songline.processors.history.archive.blob_files import ArchiveFile
from songline.processors.history.archive.errors import Damage
from songline.processors.history.archive.file_facts import FileFacts, FileRange
from songline.schemas.progress import lasting_position, split_position


class PlacedFile(Struct, frozen=True):
    """A file among the others of its partition: the lasting positions of its first and last event (see
    `songline.schemas.progress`), and what is wrong with its ends. `range` is None where nothing of it can be read."""

    file: ArchiveFile
    generation: int
    first: int
    last: int
    range: FileRange | None
    damage: Damage | None


def placed_files(facts: Iterable[FileFacts]) -> list[PlacedFile]:
    """The files of a partition by their first position. Those that have no events are left out; a file of which nothing
    can be read stands where its name puts it."""
    by_name = sorted(facts, key=lambda one: (one.file.name, one.file.path))
    generation = 0
    lasts: list[int] = []
    last_seconds: list[int] = []
    placed: list[PlacedFile] = []
    by_time = sorted((one for one in by_name if one.range is not None), key=_begin)
    for one in by_time:
        found = one.range
        assert found is not None
        at = bisect_left(lasts, found.first)
        if at < len(lasts) and found.first_s > last_seconds[at]:
            generation += 1
            lasts, last_seconds, at = [], [], 0
        at = bisect_left(lasts, found.last)
        if at == len(lasts) or lasts[at] != found.last:
            lasts.insert(at, found.last)
            last_seconds.insert(at, found.last_s)
        base = lasting_position(generation, 0)
        placed.append(PlacedFile(one.file, generation, base + found.first, base + found.last, found, one.damage))
    placed += _unreadable(by_name, placed)
    return sorted(placed, key=lambda one: (one.first, one.last))


def hub_generation(placed: Iterable[PlacedFile], created_at: datetime, expected: int) -> int:
    """The generation of the events of the hub that was created at `created_at`, after these files and after those that
    were read before the lasting position `expected`: a hub that is younger than the last files was made anew."""
    ranged = [one for one in placed if one.range is not None]
    last = max((one.generation for one in ranged), default=0)
    seconds = [one.range.first_s for one in ranged if one.generation == last and one.range is not None]
    made_anew = bool(seconds) and min(seconds) < int(created_at.timestamp() // 1)
    return max(last + made_anew, split_position(expected)[0])


def _begin(one: FileFacts) -> tuple[int, int, int]:
    assert one.range is not None
    return (one.range.first_s, one.range.first, one.range.last)


def _unreadable(by_name: list[FileFacts], placed: list[PlacedFile]) -> list[PlacedFile]:
    """The files with damage and without a range, each behind the one that its name follows."""
    by_path = {one.file.path: one for one in placed}
    found = []
    before: PlacedFile | None = None
    for one in by_name:
        before = by_path.get(one.file.path, before)
        if one.range is None and one.damage is not None:
            at = before.last + 1 if before is not None else 0
            generation = before.generation if before is not None else 0
            found.append(PlacedFile(one.file, generation, at, at, None, one.damage))
    return found
