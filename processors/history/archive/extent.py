"""What an archive holds of a partition, and what its hub holds beside it. Pure."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from songline.processors.history.archive.errors import Damage, Hole
from songline.processors.history.archive.generations import PlacedFile, is_older
from songline.processors.runtime.resume_point import HubState
from songline.schemas.progress import split_position


class PartitionExtent(Struct, frozen=True):
    """What there is of a partition.

    `first` and `last` are lasting positions in the archive, `first_s` and `last_s` the Unix seconds of these events;
    None where the archive has no event. `holes` are between files: what is missing within a file, reading finds.
    `damages` are those that the ends of files show. `hub_first` and `hub_last` are the hub's own positions, None where
    the hub was not asked or lacks the partition; `waiting` is how many of its events the archive does not have yet.
    """

    partition: str
    has_container: bool
    files: int
    size_bytes: int
    first: int | None
    last: int | None
    first_s: int | None
    last_s: int | None
    holes: tuple[Hole, ...]
    damages: tuple[Damage, ...]
    hub_first: int | None
    hub_last: int | None
    waiting: int | None


def extent_of(partition: str, placed: Sequence[PlacedFile], hub: HubState | None, *, is_there: bool) -> PartitionExtent:
    """The extent of files that are in the order of their first positions. `is_there`: the container is."""
    ranges = [one.range for one in placed if one.range is not None]
    last = max((one.last for one in placed if one.range is not None), default=None)
    waiting = None
    if hub is not None:
        captured = max((one.last for one in _of_hub(placed, hub)), default=-1)
        waiting = max(0, hub.last - max(split_position(captured)[1], hub.first - 1))
    return PartitionExtent(
        partition=partition,
        has_container=is_there,
        files=len(placed),
        size_bytes=sum(one.file.size_bytes for one in placed),
        first=min((one.first for one in placed if one.range is not None), default=None),
        last=last,
        first_s=min((one.first_s for one in ranges), default=None),
        last_s=max((one.last_s for one in ranges), default=None),
        holes=tuple(_holes(partition, placed)),
        damages=tuple(one.damage for one in placed if one.damage is not None),
        hub_first=None if hub is None else hub.first,
        hub_last=None if hub is None else hub.last,
        waiting=waiting,
    )


def only_in_hub(placed: Sequence[PlacedFile], hub: HubState) -> list[tuple[int, int]]:
    """The first and last positions of the stretches that a hub has and no whole file, by position. What a damaged file
    lacks is not known by its ends, so the hub's events of its whole range are among them."""
    captured = ((one.range.first, one.range.last) for one in _of_hub(placed, hub) if one.range and one.damage is None)
    stretches, next_one = [], hub.first
    for first, last in sorted(captured):
        if first > next_one:
            stretches.append((next_one, min(first - 1, hub.last)))
        next_one = max(next_one, last + 1)
        if next_one > hub.last:
            break
    if next_one <= hub.last:
        stretches.append((next_one, hub.last))
    return stretches


def _of_hub(placed: Sequence[PlacedFile], hub: HubState) -> Iterator[PlacedFile]:
    """The files with events of the hub as it is: of the last generation, unless the hub was made anew after it."""
    generation = max((one.generation for one in placed), default=0)
    found = [one for one in placed if one.generation == generation and one.range is not None]
    if not is_older(found, hub.created_at):
        yield from found


def _holes(partition: str, placed: Sequence[PlacedFile]) -> list[Hole]:
    holes: list[Hole] = []
    before: PlacedFile | None = None
    for one in placed:
        if one.range is None:
            continue
        known = -1 if before is None or before.generation != one.generation else split_position(before.last)[1]
        if one.range.first > known + 1:
            path = None if before is None else before.file.path
            holes.append(Hole(partition, one.generation, known + 1, one.range.first - 1, path, one.file.path))
        if before is None or one.last > before.last:
            before = one
    return holes
