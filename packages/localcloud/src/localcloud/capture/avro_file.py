"""The bytes of a Capture file: an Avro object container whose records have the service's schema `EventData`.

Format: https://avro.apache.org/docs/1.12.0/specification/#object-container-files. Records are encoded here rather than
by fastavro, which takes three times as long for records with two maps of unions.
"""

import json
import zlib
from typing import Final

SCHEMA: Final = {
    "type": "record",
    "name": "EventData",
    "namespace": "Microsoft.ServiceBus.Messaging",
    "fields": [
        {"name": "SequenceNumber", "type": "long"},
        {"name": "Offset", "type": "string"},
        {"name": "EnqueuedTimeUtc", "type": "string"},
        {"name": "SystemProperties", "type": {"type": "map", "values": ["long", "double", "string", "bytes"]}},
        {"name": "Properties", "type": {"type": "map", "values": ["long", "double", "string", "bytes", "null"]}},
        {"name": "Body", "type": ["null", "bytes"]},
    ],
}
"""As the service's files have it; its documentation leaves the null of `Properties` out."""
SYNC_BYTES: Final = 16
BLOCK_BYTES: Final = 64 << 10

_MAGIC: Final = b"Obj\x01"
_LOW_BITS: Final = 14


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_SHORT: Final = [_varint(value) for value in range(1 << _LOW_BITS)]
_CONTINUED: Final = [bytes((value & 0x7F | 0x80, value >> 7 | 0x80)) for value in range(1 << _LOW_BITS)]


def encode_long(value: int) -> bytes:
    """Avro's encoding of a long (also of a length, and of a branch of a union)."""
    rest = (value << 1) ^ (value >> 63)
    encoded = b""
    while rest >= 1 << _LOW_BITS:
        encoded += _CONTINUED[rest & (1 << _LOW_BITS) - 1]
        rest >>= _LOW_BITS
    return encoded + _SHORT[rest]


def encode_bytes(value: bytes) -> bytes:
    """Avro's encoding of bytes, and of a string that is UTF-8 already."""
    return encode_long(len(value)) + value


def file_header(codec: str, sync: bytes) -> bytes:
    """The beginning of a file; the whole of one without events. `codec` is "null" or "deflate"."""
    schema = json.dumps(SCHEMA, separators=(",", ":")).encode()
    pairs = ((b"avro.codec", codec.encode()), (b"avro.schema", schema))
    entries = b"".join(encode_bytes(name) + encode_bytes(value) for name, value in pairs)
    return _MAGIC + encode_long(len(pairs)) + entries + b"\x00" + sync


def file_block(count: int, records: bytes | bytearray, codec: str, sync: bytes) -> bytes:
    """A block of `count` encoded records."""
    if codec == "deflate":
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        records = packer.compress(records) + packer.flush()
    return b"".join((encode_long(count), encode_long(len(records)), records, sync))
