"""What the index of a partition can look up, and what has to be read from the history. Pure.

A lookup finds what a reading finds in files that are whole, rise, and follow each other. Before the first file, between
files and where a file is damaged or out of order, only a reading tells what the hub has instead, and what nobody has.
"""

from collections.abc import Sequence

from msgspec import Struct

from songline.processors.history.archive.generations import PlacedFile
from songline.processors.history.index.manifest import Manifest
from songline.schemas.progress import split_position


class Stretch(Struct, frozen=True):
    """Lasting positions to be read: behind `after`, and before `stop`, None for all that is there."""

    after: int
    stop: int | None


class IndexCoverage(Struct, frozen=True):
    """The files to be looked up, in the order of their first positions, and the stretches to be read, in theirs."""

    files: list[PlacedFile]
    stretches: list[Stretch]


def coverage_of(placed: Sequence[PlacedFile], manifest: Manifest, until_s: int | None) -> IndexCoverage:
    """What to look up and what to read of a partition, whose files are in the order of their first positions, up to the
    first event that the hub took at the Unix second `until_s` or later."""
    whole = {(one.path, one.etag) for one in manifest.files if one.is_whole}
    files: list[PlacedFile] = []
    stretches: list[Stretch] = []
    edge, edge_s, generation = -1, None, 0
    begin_s = 0
    """The first second of the file before, in this generation."""
    opened: int | None = None
    for one in placed:
        if opened is None and until_s is not None and edge_s is not None and edge_s >= until_s:
            # Everything further is later.
            break
        is_behind = until_s is not None and one.range is not None and one.range.first_s >= until_s
        if one.generation != generation:
            generation, edge_s, begin_s = one.generation, None, 0
        is_next = split_position(one.first)[1] == 0 if edge_s is None else one.first <= edge + 1
        is_known = one.range is not None and (one.file.path, one.file.etag) in whole
        if not is_known or not _rises(one, edge, edge_s, begin_s, is_read=opened is not None):
            opened = edge if opened is None else opened
        else:
            if opened is None and not is_next:
                opened = edge
            if opened is not None:
                stretches.append(Stretch(opened, one.first))
                opened = None
            if not is_behind:
                files.append(one)
        edge = max(edge, one.last)
        if one.range is not None:
            edge_s = one.range.last_s if edge_s is None else max(edge_s, one.range.last_s)
            begin_s = one.range.first_s
        if is_behind:
            break
    else:
        # The hub may have more.
        if opened is None and (edge_s is None or until_s is None or edge_s < until_s):
            opened = edge
    if opened is not None:
        stretches.append(Stretch(opened, None))
    return IndexCoverage(files, stretches)


def _rises(one: PlacedFile, edge: int, edge_s: int | None, begin_s: int, *, is_read: bool) -> bool:
    """Whether no moment of the file is before those of files that come before it. A file that is there twice, or
    overlaps another, has the same events at the same moments, unless a clock was wrong; or one of both is read and not
    looked up."""
    assert one.range is not None
    if edge_s is None:
        return True
    if one.first > edge or is_read:
        return one.range.first_s >= edge_s
    is_inside = one.last > edge or one.range.last_s <= edge_s
    return begin_s <= one.range.first_s <= edge_s and is_inside
