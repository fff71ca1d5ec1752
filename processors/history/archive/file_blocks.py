"""A file of the archive as its bytes come in: groups of whole blocks become records. Pure."""

from collections.abc import Generator, Iterator

from songline.processors.history.archive.avro_blocks import AvroBlock, AvroHeader, BlockError, read_block, read_header
from songline.processors.history.archive.capture_records import RecordReader, Records
from songline.processors.history.archive.errors import Damage

GROUP_BYTES = 256 * 1024
"""Blocks are decoded in groups of so many bytes of the file, or each for itself where it is larger."""


class FileBlocks:
    """The records of the file `path`, whose bytes are given piece by piece.

    `header` is the file's header, once it is here, and `header_bytes` are its bytes. `span` is where in the file the
    records are that were yielded last: offset and size of their blocks. What can't be read is yielded as Damage. A
    damaged block whose frame is whole is passed over; after any other damage nothing of the file is read.
    """

    def __init__(self, path: str, group_bytes: int = GROUP_BYTES) -> None:
        self.header: AvroHeader | None = None
        self.header_bytes = b""
        self.span = (0, 0)
        self._path = path
        self._group_bytes = group_bytes
        self._waiting = bytearray()
        self._reader: RecordReader | None = None
        self._at = 0
        self._block = 0
        self._broken = False

    def feed(self, piece: bytes) -> Iterator[Records | Damage]:
        """What the next bytes of the file complete."""
        if self._broken:
            return
        self._waiting += piece
        if self.header is None and not (yield from self._begin()):
            return
        yield from self._read_blocks()

    def end(self) -> Iterator[Damage]:
        """What is wrong with the end of the file, which is here."""
        if self._broken:
            return
        if self.header is None:
            yield self._damage(None, self._at, f"the file ends after {len(self._waiting)} bytes")
        elif self._waiting:
            yield self._damage(self._block, self._at, f"the file ends within it, after {len(self._waiting)} bytes")

    def _begin(self) -> Generator[Damage, None, bool]:
        try:
            self.header = read_header(bytes(self._waiting))
            if self.header is None:
                return False
            self._reader = RecordReader(self.header)
        except BlockError as error:
            self._broken = True
            yield self._damage(None, 0, str(error))
            return False
        self._at = self.header.size
        self.header_bytes = bytes(self._waiting[: self._at])
        del self._waiting[: self._at]
        return True

    def _read_blocks(self) -> Iterator[Records | Damage]:
        assert self.header is not None
        group: list[AvroBlock] = []
        start = at = 0
        try:
            while (block := read_block(self.header, self._waiting, at)) is not None:
                group.append(block)
                at += block.size
                if at - start >= self._group_bytes:
                    yield from self._decode(group)
                    group, start = [], at
        except BlockError as error:
            self._broken = True
            yield from self._decode(group)
            yield self._damage(self._block, self._at, str(error))
            return
        yield from self._decode(group)
        del self._waiting[:at]

    def _decode(self, group: list[AvroBlock]) -> Iterator[Records | Damage]:
        """The records of a group, block by block where it has a damaged one."""
        assert self._reader is not None
        if not group:
            return
        try:
            found = self._reader.read(group)
        except BlockError as error:
            if len(group) > 1:
                for block in group:
                    yield from self._decode([block])
                return
            yield self._damage(self._block, self._at, str(error))
        else:
            self.span = (self._at, sum(block.size for block in group))
            yield found
        self._block += len(group)
        self._at += sum(block.size for block in group)

    def _damage(self, block: int | None, at: int, why: str) -> Damage:
        return Damage(self._path, block, at, why)
