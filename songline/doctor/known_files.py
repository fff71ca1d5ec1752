"""Which files of an archive the doctor looks at, and which holes it can be sure of. Pure but for what reads a file."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Sequence
from datetime import datetime

from songline.processors.history.archive.blob_files import ArchiveFile, ArchiveFiles, FileBytes
from songline.processors.history.archive.errors import Hole

NEWEST_FILES = 20
"""So many of each partition are read: a year has half a million. What the index knows of the others costs nothing."""


class LookedAtFiles:
    """Those of `files` that are looked at, as they were `listed`: the newest NEWEST_FILES of each partition and those
    whose path and ETag are `known`, or with `every` all. Is an ArchiveFiles."""

    def __init__(
        self,
        files: ArchiveFiles,
        listed: Sequence[ArchiveFile] | None,
        known: Container[tuple[str, str]],
        *,
        every: bool,
    ) -> None:
        self._files = files
        self._moments = {one.path: one.name.moment for one in listed or ()}
        self._others: dict[str, list[datetime]] = defaultdict(list)
        by_partition: dict[str, list[ArchiveFile]] = defaultdict(list)
        for one in listed or ():
            by_partition[one.name.partition].append(one)
        looked_at: list[ArchiveFile] = []
        for partition, found in by_partition.items():
            for place, one in enumerate(found, NEWEST_FILES - len(found)):
                if every or place >= 0 or (one.path, one.etag) in known:
                    looked_at.append(one)
                else:
                    self._others[partition].append(one.name.moment)
        self._looked_at = None if listed is None else sorted(looked_at, key=lambda one: (one.name, one.path))

    @property
    def count(self) -> int:
        """How many files are looked at."""
        return len(self._looked_at or ())

    def is_sure(self, hole: Hole) -> bool:
        """Whether no file that is not looked at may have these events: none is named between those beside the hole."""
        others = self._others.get(hole.partition, [])
        first = 0 if hole.before is None else bisect_left(others, self._moments[hole.before])
        last = len(others) if hole.after is None else bisect_left(others, self._moments[hole.after])
        return first == last

    async def list(self) -> list[ArchiveFile] | None:
        """The files, by moment and partition; None where there is no container."""
        return self._looked_at

    def forget_listing(self) -> None:
        """See ArchiveFiles."""

    async def read_part(self, path: str, start: int, size: int, etag: str | None = None) -> bytes:
        """See ArchiveFiles."""
        return await self._files.read_part(path, start, size, etag)

    def download(self, path: str) -> FileBytes:
        """See ArchiveFiles."""
        return self._files.download(path)
