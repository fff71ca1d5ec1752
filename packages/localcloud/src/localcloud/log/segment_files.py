"""The segment files of one partition: which of them count, and how one goes."""

import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from localcloud.log.errors import DamagedLogError
from localcloud.log.segment import Segment, StoredBatch

log = logging.getLogger(__name__)


def sync_folder(folder: Path) -> None:
    """Make names created, renamed or removed in the folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def open_sealed(paths: Sequence[Path]) -> list[Segment]:
    """The complete segments in these files, oldest first, without what a compaction had already merged."""
    segments: list[Segment] = []
    for path in paths:
        segments = joined(segments, Segment.open_sealed(path))
    return segments


def joined(segments: list[Segment], newer: Segment) -> list[Segment]:
    if not segments or newer.base_offset > segments[-1].index.last_offset:
        return [*segments, newer]
    log.info("%s: removing %s, which a compaction had already merged", newer.path.parent.name, newer.path.name)
    with contextlib.suppress(OSError):  # it is known again the next time
        unlink(newer)
    return segments


def unlink(segment: Segment) -> None:
    segment.path.with_suffix(".index").unlink(missing_ok=True)
    segment.path.unlink(missing_ok=True)


def read_across(segments: Sequence[Segment], offset: int, max_bytes: int) -> list[StoredBatch]:
    """Batches from the one that holds `offset` on, as `PartitionLog.read`; the first of `segments` may hold it.

    Raises DamagedLogError where the first of them is not what was written.
    """
    batches: list[StoredBatch] = []
    for segment in segments:
        try:
            found = segment.read(offset, max_bytes)
        except DamagedLogError:
            if batches:
                break
            raise
        if batches and found and len(found[0].data) > max_bytes:
            break
        batches += found
        max_bytes -= sum(len(batch.data) for batch in found)
        if batches and (max_bytes <= 0 or batches[-1].last_offset < segment.index.last_offset):
            break  # what did not fit comes first in the next read: a read has no gap
    return batches
