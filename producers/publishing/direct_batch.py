"""Puts an event into a batch of the Event Hubs SDK: the one module that knows what such a batch is made of.

The SDK's `EventDataBatch.add` makes four objects of an event and encodes it twice, for its size and for the batch.
`add_encoded` encodes it once, to the same bytes. It is used with the versions of the SDK that it was tested with, and
only while no tracing is on, because the SDK adds a trace's context to each event; else `add_by_sdk` is used, which is
public API.

Source: AMQP 1.0 part 1 section 1.6 (types) and part 3 section 3.2 (sections of a message); azure-eventhub 5.15.1,
`EventDataBatch.add`.
"""

import struct
from collections.abc import Callable
from typing import TypeAlias

from azure.core.settings import settings
from azure.eventhub import EventDataBatch, __version__
from azure.eventhub.amqp import AmqpAnnotatedMessage

from songline.producers.publishing.state import QueuedEvent

TESTED_VERSIONS = frozenset({"5.15.1"})

AddToBatch: TypeAlias = Callable[[EventDataBatch, QueuedEvent], bool]
"""Puts an event into a batch; returns whether there was room for it."""

_PARTITION_KEY = b"x-opt-partition-key"
# Message annotations (described type 0x72), a map of a symbol to a string; then the body as a data section (0x75).
_SMALL_MAP, _LARGE_MAP = b"\x00\x53\x72\xc1", b"\x00\x53\x72\xd1"
_SYMBOL = b"\xa3" + bytes([len(_PARTITION_KEY)]) + _PARTITION_KEY
_SMALL_BODY, _LARGE_BODY = b"\x00\x53\x75\xa0", b"\x00\x53\x75\xb0"
_SMALL_SIZES = 256
# What one event costs in the batch beside its own bytes, as the SDK counts it.
_SMALL_SECTION, _LARGE_SECTION = 5, 8

_pack_length = struct.Struct(">I").pack
_pack_lengths = struct.Struct(">II").pack


def _before_key(length: int) -> bytes:
    """What stands before a partition key of `length` bytes."""
    string = b"\xa1" + bytes([length]) if length < _SMALL_SIZES else b"\xb1" + _pack_length(length)
    size = len(_SYMBOL) + len(string) + length
    if size < _SMALL_SIZES - 1:
        return _SMALL_MAP + bytes([size + 1, 2]) + _SYMBOL + string
    return _LARGE_MAP + _pack_lengths(size + 4, 2) + _SYMBOL + string


_BEFORE_KEYS = tuple(map(_before_key, range(_SMALL_SIZES)))


def add_function(version: str = __version__) -> AddToBatch:
    """How events are put into batches with this version of the SDK."""
    is_traced = settings.tracing_implementation() is not None
    return add_encoded if version in TESTED_VERSIONS and not is_traced else add_by_sdk


def add_by_sdk(batch: EventDataBatch, event: QueuedEvent) -> bool:
    """Put an event into `batch`; return whether there was room for it."""
    message = AmqpAnnotatedMessage(data_body=event.body, annotations={_PARTITION_KEY: event.partition_key})
    try:
        batch.add(message)
    except ValueError:
        return False
    return True


def add_encoded(batch: EventDataBatch, event: QueuedEvent) -> bool:
    """The same, encoding the event once."""
    message = encode_event(event.body, event.partition_key)
    size = batch._size + len(message) + (_SMALL_SECTION if len(message) < _SMALL_SIZES else _LARGE_SECTION)
    if size > batch.max_size_in_bytes:
        return False
    batch._message[5].append(message)
    batch._size = size
    batch._count += 1
    return True


def encode_event(body: bytes, partition_key: str) -> bytes:
    """The AMQP message of an event: its partition key as a message annotation, and its body as a data section."""
    key = partition_key.encode()
    before = _BEFORE_KEYS[len(key)] if len(key) < _SMALL_SIZES else _before_key(len(key))
    if len(body) < _SMALL_SIZES:
        return b"".join((before, key, _SMALL_BODY, bytes((len(body),)), body))
    return b"".join((before, key, _LARGE_BODY, _pack_length(len(body)), body))
