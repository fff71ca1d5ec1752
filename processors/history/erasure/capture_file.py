"""A file of Event Hubs Capture without a listener. Pure, but for the files that it is given.

An Avro file is a header and blocks. A block that does not name the listener is copied as it is; of the others, the
records are renamed and the block is packed again with the file's codec. Header, order and everything else stay.

Source: Avro 1.11 specification, "Object Container Files", "Required Codecs" and "Optional Codecs"; fields of a record:
"Exploring captured Avro files" of the Event Hubs documentation.
"""

import io
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple

import cramjam
import fastavro
from msgspec import structs

from songline.processors.history.archive.avro_blocks import BlockError
from songline.processors.history.archive.capture_records import enqueued_second
from songline.processors.history.erasure.rename import renamed_body, renamed_properties
from songline.processors.history.erasure.rewriting import CaptureFileError, ForgottenUpTo, RewriteCounts
from songline.schemas.decoding import Decoder
from songline.schemas.forgotten import ForgottenNames

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_MAX_BLOCK_BYTES = 1 << 30
_TIMES = ("%m/%d/%Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S%z")

_schemas: Decoder[Any] = Decoder(Any, "not-an-avro-file")


class _Header(NamedTuple):
    raw: bytes
    schema: Any
    codec: str
    sync: bytes


def rewrite(
    source: IO[bytes], target: IO[bytes], user_id: str, names: ForgottenNames, up_to: ForgottenUpTo | None = None
) -> RewriteCounts:
    """Write `source` to `target` without the listener, of what they did up to `up_to`, None for all. Raises
    CaptureFileError; `target` is void then."""
    header = _read_header(source)
    codec = _CODECS.get(header.codec)
    if codec is None:
        raise CaptureFileError(f"its codec is {header.codec!r}, expected one of {', '.join(_CODECS)}")
    target.write(header.raw)
    counts = RewriteCounts(0, 0)
    while (count := _read_long(source)) is not None:
        if count < 0:
            raise CaptureFileError(f"a block of {count} records: it is damaged")
        data = _read_exactly(source, _read_length(source))
        if _read_exactly(source, _SYNC_BYTES) != header.sync:
            raise CaptureFileError("the mark at a block's end is another one than the file's: it is damaged")
        plain = _plain(codec, data)
        renamed = 0
        if user_id.encode() in plain or b"\\" in plain:
            plain, renamed = _renamed_block(plain, count, header.schema, user_id, names, up_to)
            if renamed:
                data = codec.pack(plain)
        target.write(_long(count) + _long(len(data)) + data + header.sync)
        counts = structs.replace(counts, events=counts.events + count, renamed=counts.renamed + renamed)
    return counts


def renamed_record(record: Mapping[str, Any], user_id: str, names: ForgottenNames) -> Mapping[str, Any]:
    """The record without the listener; `record` itself where it does not name them."""
    before = record.get("Body")
    body, name = renamed_body(before or b"", user_id, names, _enqueued_s(record.get("EnqueuedTimeUtc")))
    after = dict(record) if body == (before or b"") else {**record, "Body": body}
    for field in ("SystemProperties", "Properties"):
        if isinstance(after.get(field), dict):
            after[field] = renamed_properties(after[field], user_id, name)
    return record if after == record else after


def is_after(record: Mapping[str, Any], up_to: ForgottenUpTo) -> bool:
    """Whether the hub took the record's event after `up_to`. Never of one that does not say clearly when."""
    position = record.get("SequenceNumber")
    if not isinstance(position, int) or position <= up_to.position:
        return False
    try:
        # An event of a hub before, at the same partition, may have any position.
        return enqueued_second(record.get("EnqueuedTimeUtc")) > up_to.created_s
    except BlockError:
        return False


def _renamed_block(
    plain: bytes, count: int, schema: Any, user_id: str, names: ForgottenNames, up_to: ForgottenUpTo | None
) -> tuple[bytes, int]:
    source, target, renamed = io.BytesIO(plain), io.BytesIO(), 0
    for _ in range(count):
        try:
            record = fastavro.schemaless_reader(source, schema, None)
            is_kept = up_to is not None and is_after(record, up_to)
            after = record if is_kept else renamed_record(record, user_id, names)
            fastavro.schemaless_writer(target, schema, after)
        except Exception as error:
            # The reader raises whatever its bytes lead it to.
            raise CaptureFileError(f"a record can't be read: {type(error).__name__}: {error}") from error
        renamed += after is not record
    return target.getvalue(), renamed


def _enqueued_s(text: object) -> int:
    """The second at which the hub took an event, 0 where the file does not say it in a form that is known."""
    for form in _TIMES:
        try:
            moment = datetime.strptime(str(text), form)  # noqa: DTZ007 - UTC, as the field's name says
        except ValueError:
            continue
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return 0


def _read_header(source: IO[bytes]) -> _Header:
    recording = _Recording(source)
    if recording.read(len(_MAGIC)) != _MAGIC:
        raise CaptureFileError("it does not begin as an Avro file")
    metadata: dict[str, bytes] = {}
    while count := _read_long(recording):
        if count < 0:
            # A block of a map that says its size in bytes.
            _read_length(recording)
            count = -count
        for _ in range(count):
            key = _read_exactly(recording, _read_length(recording))
            metadata[key.decode("latin-1")] = _read_exactly(recording, _read_length(recording))
    sync = _read_exactly(recording, _SYNC_BYTES)
    try:
        schema = fastavro.parse_schema(_schemas.decode(metadata.get("avro.schema", b"")))
    except Exception as error:
        raise CaptureFileError(f"its schema can't be read: {type(error).__name__}: {error}") from error
    codec = metadata.get("avro.codec", b"null").decode("latin-1")
    return _Header(bytes(recording.seen), schema, codec, sync)


class _Recording:
    """A file of which is kept what was read."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.seen = bytearray()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.seen += data
        return data


def _read_exactly(source: "IO[bytes] | _Recording", size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise CaptureFileError(f"it is cut: {len(data)} bytes of {size} are there")
    return data


def _read_length(source: "IO[bytes] | _Recording") -> int:
    length = _read_long(source)
    if length is None or not 0 <= length <= _MAX_BLOCK_BYTES:
        raise CaptureFileError(f"a length of {length} bytes: it is cut or damaged")
    return length


def _read_long(source: "IO[bytes] | _Recording") -> int | None:
    """A number in Avro's form, None at the end of the file."""
    number = shift = 0
    while True:
        byte = source.read(1)
        if not byte:
            if shift:
                raise CaptureFileError("it is cut within a number")
            return None
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number >> 1 ^ -(number & 1)
        shift += 7
        if shift > 63:
            raise CaptureFileError("a number of more than 64 bits: it is damaged")


def _long(number: int) -> bytes:
    zigzag, found = number << 1 ^ number >> 63, bytearray()
    while zigzag > 0x7F:
        found.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes((*found, zigzag))


class _Codec(NamedTuple):
    unpack: Callable[[bytes], bytes]
    pack: Callable[[bytes], bytes]


def _plain(codec: _Codec, data: bytes) -> bytes:
    try:
        return codec.unpack(data)
    except (zlib.error, cramjam.DecompressionError, ValueError) as error:
        raise CaptureFileError(f"a block can't be unpacked: {error}") from error


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _unsnapped(data: bytes) -> bytes:
    plain = bytes(cramjam.snappy.decompress_raw(data[:-4]))
    if zlib.crc32(plain).to_bytes(4, "big") != data[-4:]:
        raise ValueError("its checksum does not fit")
    return plain


def _snapped(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")


_CODECS = {
    "null": _Codec(bytes, bytes),
    "deflate": _Codec(lambda data: zlib.decompress(data, -15), _deflated),
    "snappy": _Codec(_unsnapped, _snapped),
}
