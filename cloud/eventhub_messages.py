"""Events of a hub as AMQP brings them, read as far as a reader needs them: position, time, body. Pure.

The Event Hubs SDK decodes each section of each message into objects. Here a section that says nothing about these
three is passed over, whatever types it has: the first byte of a value says how long it is.

Source: AMQP 1.0 part 1 section 1.2 (encodings), part 2 section 2.7.5 (transfer), part 3 section 3.2 (sections).
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct

_SEQUENCE_NUMBER = b"x-opt-sequence-number"
_ENQUEUED_TIME = b"x-opt-enqueued-time"
_OFFSET = b"x-opt-offset"

_MESSAGE_ANNOTATIONS, _DATA, _LAST_SECTION = 0x72, 0x75, 0x78
_SMALL_MAP, _LARGE_MAP = 0xC1, 0xD1
_NULL, _TIMESTAMP = 0x40, 0x83
_SMALL_ULONG, _ULONG = 0x53, 0x80
_LONG, _SMALL_LONG = 0x81, 0x55
# The SDK takes strings, symbols and binaries alike for bytes.
_SMALL_BYTES, _LARGE_BYTES = frozenset({0xA0, 0xA1, 0xA3}), frozenset({0xB0, 0xB1, 0xB3})

_SECTIONS = {
    b"amqp:header:list": 0x70,
    b"amqp:delivery-annotations:map": 0x71,
    b"amqp:message-annotations:map": _MESSAGE_ANNOTATIONS,
    b"amqp:properties:list": 0x73,
    b"amqp:application-properties:map": 0x74,
    b"amqp:data:binary": _DATA,
    b"amqp:amqp-sequence:list": 0x76,
    b"amqp:amqp-value:*": 0x77,
    b"amqp:footer:map": _LAST_SECTION,
}

# By the upper half of a constructor: the bytes of a value of fixed width, or those of its size.
_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}
_SIZES = {0xA: 1, 0xB: 4, 0xC: 1, 0xD: 4, 0xE: 1, 0xF: 4}


def _short_values(longest: int) -> bytes:
    """A pattern for a value of up to `longest` bytes, with the byte before it that says how many."""
    return b"(?:" + b"|".join(re.escape(bytes((size,))) + b".{%d}" % size for size in range(longest + 1)) + b")"


_TRANSFER = re.compile(
    # Size, offset, type and channel of the frame; the performative, as a list of eleven.
    rb"(.{4})\x02\x00(.{2})\x00\x53\x14(?:\xc0(.)|\xd0(.{4})\x00\x00\x00)\x0b"
    # Handle, delivery-id, delivery-tag, message-format, settled, more.
    rb"(?:(\x43)|\x52(.)|\x70(.{4}))(?:(\x43)|\x52(.)|\x70(.{4}))\xa0"
    + _short_values(32)
    + rb"(?:[\x40\x43]|\x52.|\x70.{4})(?:[\x40-\x42]|\x56.)(?:[\x40\x42]|\x56\x00)"
    # Receiver-settle-mode, no state, resume, not aborted.
    rb"(?:\x40|\x50.)\x40(?:[\x40-\x42]|\x56.)(?:[\x40\x42]|\x56\x00)",
    re.DOTALL,
)

# The annotations that a hub writes, in any order, and one data section up to the end: nearly every event.
_PLAIN_EVENT = re.compile(
    rb"\x00\x53\x72(?:\xd1(.{4}).{4}|\xc1(.).)"
    rb"(?:\xa3(?:"
    rb"\x15x-opt-sequence-number\x81(.{8})|\x13x-opt-enqueued-time\x83(.{8})|"
    rb"\x13x-opt-partition-key\xa1" + _short_values(64) + rb"|\x0cx-opt-offset\xa1(" + _short_values(20) + rb")))*()"
    rb"\x00\x53\x75(?:\xb0(.{4})|\xa0(.))",
    re.DOTALL,
)


class WholeTransfer(Struct, frozen=True, gc=False):
    """A transfer that brings a whole message: the frame's `end`, where `payload` begins in it, whose it is."""

    end: int
    channel: int
    handle: int
    delivery_id: int
    payload: int


class EventFields(Struct, frozen=True, gc=False):
    """What a reader needs of an event: its sequence number (`position`), when the hub enqueued it, None where it does
    not say, `offset` as the hub writes it, and `body`, that of its one data section; no bytes where it has another kind
    of body."""

    position: int
    enqueued_at: datetime | None
    offset: bytes
    body: bytes


def read_transfer(arrived: bytes, start: int) -> WholeTransfer | None:
    """The frame that begins at `start`, if all of it has arrived and it brings a whole message; None for others, also
    for such as are written in an unusual way."""
    found = _TRANSFER.match(arrived, start)
    if found is None:
        return None
    size, channel, small_list, large_list, _, handle_1, handle_4, _, id_1, id_4 = found.groups()
    end = start + int.from_bytes(size)
    # The list's size counts what follows it.
    payload = found.end(3) + small_list[0] if small_list else found.end(4) + int.from_bytes(large_list)
    if not found.end() <= payload <= end <= len(arrived):
        return None
    return WholeTransfer(
        end,
        int.from_bytes(channel),
        int.from_bytes(handle_1 or handle_4 or b""),
        int.from_bytes(id_1 or id_4 or b""),
        payload,
    )


def read_event(message: bytes) -> EventFields | None:
    """What a reader needs of an encoded message; None where it is written in an unusual way, or damaged."""
    try:
        return _read_plain_event(message) or _read_event(message)
    except (IndexError, KeyError, ValueError, OverflowError, OSError):
        return None


def _read_plain_event(message: bytes) -> EventFields | None:
    found = _PLAIN_EVENT.match(message)
    if found is None:
        return None
    large_map, small_map, position, enqueued_ms, offset, _, large_body, small_body = found.groups()
    mapped = found.end(1) + int.from_bytes(large_map) if large_map else found.end(2) + small_map[0]
    start = found.end()
    size = int.from_bytes(large_body) if large_body else small_body[0]
    if position is None or offset is None or mapped != found.end(6) or start + size != len(message):
        return None
    ms = int.from_bytes(enqueued_ms or b"", signed=True)
    return EventFields(int.from_bytes(position, signed=True), _moment(ms) if ms else None, offset[1:], message[start:])


def _read_event(message: bytes) -> EventFields | None:
    start, end = 0, len(message)
    position: int | None = None
    enqueued_ms, offset = 0, b""
    body, bodies = b"", 0
    while start < end:
        section, value = _section_at(message, start)
        start = _after(message, value)
        if section == _DATA:
            bodies += 1
            body = _bytes_at(message, value, start)
        elif section == _MESSAGE_ANNOTATIONS:
            position, enqueued_ms, offset = _annotations(message, value)
        elif section > _LAST_SECTION:
            return None
    if position is None or start != end:
        return None
    return EventFields(position, _moment(enqueued_ms) if enqueued_ms else None, offset, body if bodies == 1 else b"")


def _section_at(message: bytes, start: int) -> tuple[int, int]:
    """The code of the section at `start`, and where its value begins. A sender may describe it by a number of any
    width, or by its name."""
    if message[start]:
        raise ValueError
    value = _after(message, start + 1)
    constructor = message[start + 1]
    if constructor in (_SMALL_ULONG, _ULONG):
        return int.from_bytes(message[start + 2 : value]), value
    return _SECTIONS[_bytes_at(message, start + 1, value)], value


def _annotations(message: bytes, start: int) -> tuple[int | None, int, bytes]:
    """The sequence number, None where there is none, the milliseconds, 0 where not known, and the offset in the map at
    `start`."""
    constructor = message[start]
    if constructor == _LARGE_MAP:
        count, start = int.from_bytes(message[start + 5 : start + 9]), start + 9
    elif constructor == _SMALL_MAP:
        count, start = message[start + 2], start + 3
    else:
        raise ValueError
    position, enqueued_ms, offset = None, 0, b""
    for _ in range(count // 2):
        value = _after(message, start)
        name = message[start + 2 : value]
        start = _after(message, value)
        if name == _SEQUENCE_NUMBER:
            if message[value] not in (_LONG, _SMALL_LONG):
                raise ValueError
            position = int.from_bytes(message[value + 1 : start], signed=True)
        elif name == _ENQUEUED_TIME:
            if message[value] not in (_TIMESTAMP, _NULL):
                raise ValueError
            enqueued_ms = int.from_bytes(message[value + 1 : start], signed=True)
        elif name == _OFFSET:
            offset = _bytes_at(message, value, start)
    return position, enqueued_ms, offset


def _after(message: bytes, start: int) -> int:
    """Where the value that begins at `start` ends."""
    pending = 1
    while pending:
        constructor = message[start]
        kind = constructor >> 4
        if constructor == 0:
            # What describes a value stands before it; both may be described in turn, to any depth.
            start, pending = start + 1, pending + 1
            continue
        if kind == 0xA:
            start += 2 + message[start + 1]
        elif kind in _SIZES:
            size = _SIZES[kind]
            start += 1 + size + int.from_bytes(message[start + 1 : start + 1 + size])
        else:
            start += 1 + _WIDTHS[kind]
        pending -= 1
    return start


def _bytes_at(message: bytes, start: int, end: int) -> bytes:
    """The bytes that the value from `start` to `end` has; none where it is null, or of another type."""
    constructor = message[start]
    if constructor in _SMALL_BYTES:
        return message[start + 2 : end]
    return message[start + 5 : end] if constructor in _LARGE_BYTES else b""


@lru_cache(64)
def _moment(milliseconds: int) -> datetime:
    # As the SDK computes it, to the microsecond.
    return datetime.fromtimestamp(float(milliseconds) / 1000, tz=UTC)
