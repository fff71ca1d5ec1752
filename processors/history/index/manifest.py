"""What the index of a partition is made of: the files that are in it, and its segments."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from songline.processors.history.archive.blob_files import ArchiveFile
from songline.processors.history.archive.errors import Damage
from songline.processors.history.archive.file_facts import FileFacts, FileRange
from songline.schemas.decoding import MsgpackDecoder

MAX_ROWS = 4_000_000
"""A segment of so many rows (48 MB) is not joined with others any more."""


class IndexedFile(Struct, frozen=True, array_like=True):
    """A file that is in the index: the version of its content that was read, its events (None for none), how many
    positions it has, whether its moments rise with its positions, and what is wrong with it.

    Its Avro header is the manifest's `headers[header]` and `sync`.
    """

    path: str
    etag: str
    range: FileRange | None
    count: int
    is_rising: bool
    header: int
    sync: bytes
    damage: Damage | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing of its range is missing, damaged or out of order."""
        if self.damage is not None or not self.is_rising:
            return False
        return self.range is None or self.count == self.range.last - self.range.first + 1

    def facts_of(self, file: ArchiveFile) -> FileFacts:
        """What is known of the file, which is listed as it was read."""
        return FileFacts(file, self.range, self.damage)


class IndexSegment(Struct, frozen=True, array_like=True):
    """A segment: the name of its blob, how many rows and spans it has, and the files that its rows name by number."""

    blob: str
    rows: int
    spans: int
    files: tuple[IndexedFile, ...]


class Manifest(Struct, frozen=True):
    """The index of a partition. `key` is what listeners' ids are hashed with."""

    key: bytes
    headers: tuple[bytes, ...] = ()
    segments: tuple[IndexSegment, ...] = ()

    @property
    def files(self) -> Iterator[IndexedFile]:
        """All files that are in the index; a file that was written anew may be there as it was before, too."""
        return (file for segment in self.segments for file in segment.files)

    def missing(self, files: Iterable[ArchiveFile]) -> list[ArchiveFile]:
        """Those of the files that are not in the index as they are now."""
        known = {(one.path, one.etag) for one in self.files}
        return [file for file in files if (file.path, file.etag) not in known]

    def facts(self, files: Iterable[ArchiveFile]) -> list[FileFacts]:
        """What the index knows of these files."""
        known = {(one.path, one.etag): one for one in self.files}
        found = ((file, known.get((file.path, file.etag))) for file in files)
        return [one.facts_of(file) for file, one in found if one is not None]


_decoder = MsgpackDecoder(Manifest)


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest's bytes."""
    return msgspec.msgpack.encode(manifest)


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in `data`; raises PoisonError."""
    return _decoder.decode(data)


def joined_with(sizes: Sequence[int], fresh: int) -> int:
    """How many of the last segments, whose rows are `sizes`, are joined with `fresh` rows.

    A segment is joined with what is half as large or more, so that a row is written a few times only, and there are few
    segments.
    """
    count = 0
    while count < len(sizes):
        size = sizes[-1 - count]
        if size > 2 * fresh or size >= MAX_ROWS:
            break
        fresh += size
        count += 1
    return count
