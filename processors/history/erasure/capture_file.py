"""A file of Event Hubs Capture without a listener. Pure, but for the files that it is given.

An Avro file is a header and blocks. A block that does not name the listener is copied as it is; of the others, the
records are renamed and the block is packed again with the file's codec. Header, order and everything else stay.

Source: Avro 1.11 specification, "Object Container Files", "Required Codecs" and "Optional Codecs"; fields of a record:
"Exploring captured Avro files" of the Event Hubs documentation.
"""

import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import cramjam
import fastavro
from msgspec import structs

from songline.processors.history.archive.avro_blocks import (
    AvroBlock,
    AvroHeader,
    BlockError,
    read_block,
    read_header,
    unpack,
    write_number,
)
from songline.processors.history.archive.capture_records import MAX_POSITION, enqueued_second
from songline.processors.history.erasure.rename import may_mention, renamed_body, renamed_properties
from songline.processors.history.erasure.rewriting import CaptureFileError, ForgottenUpTo, RewriteCounts
from songline.schemas.decoding import read_text
from songline.schemas.errors import PoisonError
from songline.schemas.forgotten import KEY_BYTES, ForgottenNames

PIECE_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 16 * 1024 * 1024


def rewrite(
    source: IO[bytes], target: IO[bytes], user_id: str, names: ForgottenNames, up_to: ForgottenUpTo | None = None
) -> RewriteCounts:
    """Write `source` to `target` without the listener, of what they did up to `up_to`, None for all. Raises
    CaptureFileError; `target` is void then."""
    file = CaptureBlocks(source)
    target.write(file.header_bytes)
    counts = RewriteCounts(0, 0)
    for block, plain in file:
        data, renamed = block.packed, 0
        if may_mention(plain, user_id):
            after, renamed = _renamed_block(plain, block.count, file.header.schema, user_id, names, up_to)
            if renamed:
                data = _PACK[file.header.codec](after)
        target.write(write_number(block.count) + write_number(len(data)) + data + file.header.sync)
        counts = structs.replace(counts, events=counts.events + block.count, renamed=counts.renamed + renamed)
    return counts


def records_naming(source: IO[bytes], user_id: str) -> Iterator[Mapping[str, Any]]:
    """The records of a file that are of the listener or name them. Raises CaptureFileError where it is damaged, after
    those before."""
    file, names = CaptureBlocks(source), ForgottenNames(bytes(KEY_BYTES))
    for block, plain in file:
        if not may_mention(plain, user_id):
            continue
        for record in _read_records(plain, block.count, file.header.schema):
            if renamed_record(record, user_id, names) is not record:
                yield record


class CaptureBlocks:
    """The blocks of a file, each with its records' bytes. Raises CaptureFileError, when it is made and at a block that
    is damaged."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._waiting = bytearray()
        self._at = 0
        self.header = self._read_header()
        self.header_bytes = bytes(self._waiting[: self.header.size])
        self._at = self.header.size

    def __iter__(self) -> Iterator[tuple[AvroBlock, bytes]]:
        number = 0
        while True:
            try:
                block = read_block(self.header, self._waiting, self._at)
                if block is not None:
                    yield block, unpack(self.header, block)
            except BlockError as error:
                raise CaptureFileError(f"it is damaged in block {number}: {error}") from None
            if block is not None:
                self._at += block.size
                number += 1
            elif not self._more():
                break
        if self._at < len(self._waiting):
            raise CaptureFileError(f"it is cut: it ends within block {number}")

    def _read_header(self) -> AvroHeader:
        while True:
            try:
                header = read_header(bytes(self._waiting)) if self._waiting else None
            except BlockError as error:
                raise CaptureFileError(str(error)) from None
            if header is not None:
                return header
            if len(self._waiting) > MAX_HEADER_BYTES:
                raise CaptureFileError(f"its header has more than {MAX_HEADER_BYTES} bytes")
            if not self._more():
                raise CaptureFileError(f"it is cut: it ends within its header, after {len(self._waiting)} bytes")

    def _more(self) -> bool:
        """Read on; return whether there was more."""
        piece = self._source.read(PIECE_BYTES)
        del self._waiting[: self._at]
        self._at = 0
        self._waiting += piece
        return bool(piece)


def renamed_record(record: Mapping[str, Any], user_id: str, names: ForgottenNames) -> Mapping[str, Any]:
    """The record without the listener; `record` itself where it does not name them."""
    before = body_of(record)
    body, name = renamed_body(before, user_id, names, _enqueued_s(record.get("EnqueuedTimeUtc")))
    after = dict(record)
    if body != before:
        after["Body"] = _text(body) if isinstance(record["Body"], str) else body
    for field in ("SystemProperties", "Properties"):
        if isinstance(after.get(field), dict):
            after[field] = renamed_properties(after[field], user_id, name)
    return record if after == record else after


def is_after(record: Mapping[str, Any], up_to: ForgottenUpTo) -> bool:
    """Whether the hub took the record's event after `up_to`. Never of one that does not say clearly when."""
    position = record.get("SequenceNumber")
    if not isinstance(position, int) or not up_to.position < position <= MAX_POSITION:
        return False
    try:
        # An event of a hub before, at the same partition, may have any position.
        return enqueued_second(record.get("EnqueuedTimeUtc")) > up_to.created_s
    except BlockError:
        return False


def _renamed_block(
    plain: bytes, count: int, schema: Any, user_id: str, names: ForgottenNames, up_to: ForgottenUpTo | None
) -> tuple[bytes, int]:
    target, renamed = io.BytesIO(), 0
    for record in _read_records(plain, count, schema):
        is_kept = up_to is not None and is_after(record, up_to)
        after = record if is_kept else renamed_record(record, user_id, names)
        try:
            fastavro.schemaless_writer(target, schema, after)
        except Exception as error:
            # The writer raises whatever a schema of others leads it to.
            raise CaptureFileError(f"a record can't be written again: {type(error).__name__}: {error}") from error
        renamed += after is not record
    return target.getvalue(), renamed


def _read_records(plain: bytes, count: int, schema: Any) -> Iterator[Mapping[str, Any]]:
    if count > len(plain):
        raise CaptureFileError(f"a block says that it has {count} records, and has {len(plain)} bytes")
    source = io.BytesIO(plain)
    for _ in range(count):
        try:
            record = fastavro.schemaless_reader(source, schema, None)
        except Exception as error:
            # The reader raises whatever its bytes lead it to.
            raise CaptureFileError(f"a record can't be read: {type(error).__name__}: {error}") from error
        if not isinstance(record, dict):
            raise CaptureFileError(f"its records are of the type {type(record).__name__}: it is not a file of Capture")
        yield record
    if source.tell() != len(plain):
        raise CaptureFileError("the records of a block are not as long as it says")


def body_of(record: Mapping[str, Any]) -> bytes:
    """The bytes of a record's body; none where it has none."""
    body = record.get("Body")
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return body if isinstance(body, bytes) else b""


def _text(body: bytes) -> str:
    try:
        return read_text(body)
    except PoisonError as error:
        raise CaptureFileError(f"a Body in it is no text: {error.detail}") from None


def _enqueued_s(written: object) -> int:
    """The second at which the hub took an event, 0 where the file does not say it in a form that is known."""
    try:
        return enqueued_second(written)
    except BlockError:
        return 0


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _snapped(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")


_PACK: dict[str, Callable[[bytes], bytes]] = {"null": bytes, "deflate": _deflated, "snappy": _snapped}
