"""The files of a partition by their lasting positions, in which each life of the hub is a generation. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from songline.processors.history.archive.blob_files import ArchiveFile
from songline.processors.history.archive.errors import Damage
from songline.processors.history.archive.file_facts import FileFacts, FileRange
from songline.processors.history.archive.hub_lives import LifeFile, files_by_life
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


def placed_files(facts: Iterable[FileFacts], created_at: datetime | None = None) -> list[PlacedFile]:
    """The files of a partition by their first position. Those that have no events are left out; a file of which nothing
    can be read stands where its name puts it. `created_at`: when the hub was created, None where that is not known."""
    by_name = sorted(facts, key=lambda one: (one.file.name, one.file.path))
    # Of files with the same events, the one is read first whose moments are right.
    found = sorted(files_by_life(by_name, created_at), key=lambda one: one.is_odd)
    placed = [_placed(one) for one in found]
    placed += _unreadable(by_name, placed)
    return sorted(placed, key=lambda one: (one.first, one.last))


def hub_generation(placed: Iterable[PlacedFile], created_at: datetime, expected: int) -> int:
    """The generation of the events of the hub that was created at `created_at`, after these files and after those that
    were read before the lasting position `expected`: a hub that is younger than the last files was made anew."""
    ranged = [one for one in placed if one.range is not None]
    last = max((one.generation for one in ranged), default=0)
    made_anew = is_older([one for one in ranged if one.generation == last], created_at)
    return max(last + made_anew, split_position(expected)[0])


def is_older(files: Sequence[PlacedFile], created_at: datetime) -> bool:
    """Whether the files of a life of a hub are of one that was there before the hub that was created at `created_at`.
    Most of them decide: one may have been written by a wrong clock."""
    seconds = sorted(one.range.first_s for one in files if one.range is not None)
    return bool(seconds) and seconds[len(seconds) // 2] < int(created_at.timestamp() // 1)


def _placed(one: LifeFile) -> PlacedFile:
    base = lasting_position(one.life, 0)
    first, last = base + one.range.first, base + one.range.last
    return PlacedFile(one.facts.file, one.life, first, last, one.range, one.facts.damage)


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
