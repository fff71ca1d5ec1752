"""Reading a file of the archive for the index: which listeners have events in which of its spans."""

from collections.abc import Callable

from msgspec import Struct

from songline.processors.history.archive.avro_blocks import SYNC_BYTES
from songline.processors.history.archive.blob_files import ArchiveFile, ArchiveFiles
from songline.processors.history.archive.capture_records import Records
from songline.processors.history.archive.errors import Damage
from songline.processors.history.archive.file_blocks import FileBlocks
from songline.processors.history.archive.file_facts import FileRange, RangeScan
from songline.processors.history.index.segment import FileRows
from songline.schemas.decoding import DECODING_ERRORS, Decoder

SPAN_BYTES = 32 * 1024
"""Blocks that are smaller are taken together: fewer rows, and hardly more bytes for a lookup."""


class _Data(Struct, rename="camel"):
    user_id: str


class _Owned(Struct):
    data: _Data


_owned = Decoder(_Owned)


class ScannedFile(Struct, frozen=True):
    """What is found in a file: its rows, and what the manifest says of it."""

    file: ArchiveFile
    rows: FileRows
    range: FileRange | None
    count: int
    is_rising: bool
    header: bytes
    sync: bytes
    damage: Damage | None


def listeners_of(bodies: list[bytes]) -> set[str]:
    """The listeners of all events among these bodies; more, perhaps, than those that the contract accepts."""
    found = set()
    for body in bodies:
        try:
            found.add(_owned.raw(body).data.user_id)
        except DECODING_ERRORS:
            continue
    return found


class FileScan:
    """A file that is being scanned. `hash_of` hashes a listener's id."""

    def __init__(self, file: ArchiveFile, hash_of: Callable[[str], int]) -> None:
        self._file = file
        self._hash_of = hash_of
        self._damage: Damage | None = None
        self._begin()

    async def run(self, files: ArchiveFiles) -> ScannedFile:
        """Read the file. Raises AzureError."""
        download = files.download(self._file.path)
        try:
            async for piece in download.pieces():
                if piece is None:
                    self._begin()
                else:
                    self._take(piece)
        finally:
            await download.close()
        for damage in self._blocks.end():
            self._damage = self._damage or damage
        header = self._blocks.header_bytes
        return ScannedFile(
            self._file,
            FileRows(self._spans, self._hashes),
            self._range.range,
            self._count,
            self._is_rising,
            header[:-SYNC_BYTES],
            header[-SYNC_BYTES:],
            self._damage,
        )

    def _begin(self) -> None:
        self._blocks, self._damage = FileBlocks(self._file.path, SPAN_BYTES), None
        self._spans: list[tuple[int, int]] = []
        self._hashes: list[set[int]] = []
        self._range = RangeScan()
        self._last: tuple[int, int] | None = None
        """The position and the second of the record that was read last."""
        self._count = 0
        self._is_rising = True

    def _take(self, piece: bytes) -> None:
        for found in self._blocks.feed(piece):
            if isinstance(found, Damage):
                self._damage = self._damage or found
            elif len(found):
                self._add(found)

    def _add(self, records: Records) -> None:
        positions, seconds = records.positions, records.enqueued_s
        before = self._last or (positions[0] - 1, seconds[0])
        follows = positions == list(range(before[0] + 1, before[0] + 1 + len(positions)))
        rises = seconds[0] >= before[1] and seconds == sorted(seconds)
        self._is_rising = self._is_rising and follows and rises
        self._count += len(positions)
        self._last = positions[-1], seconds[-1]
        self._range.add(records)
        self._spans.append(self._blocks.span)
        self._hashes.append({self._hash_of(user_id) for user_id in listeners_of(records.bodies)})
