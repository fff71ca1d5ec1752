"""CloudEvents 1.0 in structured JSON: the one form an event has on every wire.

Source: CloudEvents 1.0.2, "JSON Event Format" section 3, and the partitioning extension. Attributes live in the
body because AMQP properties reach Kafka readers AMQP-encoded.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, structs

from songline.schemas.decoding import DECODING_ERRORS, Body, Decoder, convert, read_whole
from songline.schemas.errors import PoisonError
from songline.schemas.events import (
    ACCEPTED_TYPES,
    EVENTS,
    FORMER_EVENTS,
    TYPE_NAMES,
    FormerPayload,
    ImportUndone,
    ListenImported,
    Payload,
    SongPlayed,
    SongUploaded,
)
from songline.schemas.genres import genre_name
from songline.schemas.moments import read_moment
from songline.schemas.texts import cleaned, encodable
from songline.schemas.typename import split_version
from songline.schemas.types import Id, Moment, Source, TraceParent
from songline.schemas.upcasts import UPCASTS, UpcastStep, upcast


class Event(Struct, frozen=True, kw_only=True):
    """A fact with its context: its sender (`source`), when it happened (`time`, aware), and the fact (`data`).

    A decoded event's time is in UTC. `resubmit_of` is the id of the parked record that it is sent again for, None where
    it is not; `resubmit_for` are the readers that it is for then, any other passes it over; empty is all of them. Both
    are read, and `encode` never writes them: only an operator resubmits an event.
    """

    id: Id
    source: Source
    time: Moment
    data: Payload
    traceparent: TraceParent | None = None
    resubmit_of: str | None = None
    resubmit_for: frozenset[str] = frozenset()

    def is_for(self, reader: str) -> bool:
        """Whether a reader of this name applies the event."""
        return not self.resubmit_for or reader in self.resubmit_for

    @property
    def type(self) -> str:
        return TYPE_NAMES[type(self.data)]

    @property
    def partition_key(self) -> str:
        """The listener (or uploader): one listener's events stay in order."""
        return self.data.user_id


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The attributes as they are written. Unknown attributes are extensions and are ignored.

    `partitionkey` may be left out by a sender; it is the data's `userId` then.
    """

    specversion: Literal["1.0"]
    id: Id
    source: Source
    type: str
    time: Moment
    data: Raw
    subject: str | None = None
    partitionkey: Id | None = None
    datacontenttype: str | None = None
    traceparent: TraceParent | None = None


class ReceivedEnvelope(Struct, frozen=True, kw_only=True):
    """The attributes as they come in: `time` as it is written, `data` closed."""

    specversion: Literal["1.0"]
    id: Id
    source: Source
    type: str
    time: str
    data: Raw
    subject: str | None = None
    partitionkey: Id | None = None
    datacontenttype: str | None = None
    traceparent: TraceParent | None = None
    # Extensions, not decoded yet: one that is no text is ignored, as unknown extensions are.
    resubmitof: Raw = Raw(b"")
    resubmitfor: Raw = Raw(b"")


class _WrittenEnvelope(Struct, kw_only=True, omit_defaults=True):
    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    partitionkey: str
    datacontenttype: str
    traceparent: str | None = None
    data: Payload


_encoder = msgspec.json.Encoder()
_received = Decoder(ReceivedEnvelope)
_payloads: dict[str, Decoder[Payload]] = {
    name: Decoder(payload, "broken-contract") for name, (_, payload) in EVENTS.items()
}
_former: dict[type[FormerPayload], Decoder[FormerPayload]] = {
    payload: Decoder(payload, "broken-contract") for payload in FORMER_EVENTS.values()
}
_texts = Decoder(str)
FREE_TEXTS: dict[type[Payload], tuple[tuple[str, ...], tuple[str, ...]]] = {
    SongPlayed: ((), ("device",)),
    SongUploaded: (("title", "artist"), ("album", "artists")),
    ListenImported: (("title", "artists"), ("album",)),
}
"""The free texts of each payload: those that are required, and those that may be missing."""


def encode(event: Event) -> bytes:
    """The event as structured JSON, its time in UTC and its texts clean. What UTF-8 can't carry becomes U+FFFD, which
    no id may have."""
    data = clean(event.data)
    written = _WrittenEnvelope(
        specversion="1.0",
        id=event.id,
        source=event.source,
        type=event.type,
        subject=data.import_id if isinstance(data, ImportUndone) else data.song_id,
        time=event.time.astimezone(UTC),
        partitionkey=event.partition_key,
        datacontenttype="application/json",
        traceparent=event.traceparent,
        data=data,
    )
    try:
        return _encoder.encode(written)
    except UnicodeEncodeError:
        return _encoder.encode(_encodable(msgspec.to_builtins(written)))


def decode(body: Body | None, steps: Mapping[tuple[str, int], UpcastStep] = UPCASTS) -> Event:
    """The event in `body`, its data brought to today's version and its texts clean.

    Raises PoisonError, which says why it can't be read.
    """
    return open_envelope(read_envelope(body), steps)


def read_envelope(body: Body | None) -> ReceivedEnvelope:
    """The attributes in `body`, its time unread and its data closed; raises PoisonError."""
    return _received.decode(body)


def open_envelope(received: ReceivedEnvelope, steps: Mapping[tuple[str, int], UpcastStep] = UPCASTS) -> Event:
    """The event in `received`, its data brought to today's version; raises PoisonError."""
    time = read_moment(received.time)
    name, version = split_type(received.type)
    today, payload = EVENTS[name]
    body = bytes(received.data)
    if version == today:
        data = read_whole(_payloads[name], body, payload)
    else:
        kind = FORMER_EVENTS[name, version]
        former = msgspec.to_builtins(read_whole(_former[kind], body, kind))
        data = convert(upcast(name, version, today, former, steps), payload)
    again = _text(received.resubmitof)
    readers = _text(received.resubmitfor) if again else ""
    return Event(
        id=received.id,
        source=received.source,
        time=time,
        data=clean(data),
        traceparent=received.traceparent,
        resubmit_of=again or None,
        resubmit_for=frozenset(filter(None, map(str.strip, readers.split(",")))),
    )


def _text(extension: Raw) -> str:
    try:
        return _texts.raw(bytes(extension)) if extension else ""
    except DECODING_ERRORS:
        return ""


def clean(data: Payload) -> Payload:
    """`data` with its free texts clean (see `songline.schemas.texts`), itself where they are."""
    texts = FREE_TEXTS.get(data.__class__)
    if texts is None:
        return data
    if isinstance(data, SongUploaded) and not (data.genre or "").isascii():
        # A pattern can't tell capitals of all scripts.
        data = structs.replace(data, genre=genre_name(data.genre or ""))
    return cleaned(data, *texts)


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return encodable(value)
        case dict():
            return {key: _encodable(item) for key, item in value.items()}
        case _:
            return value


def split_type(written: str) -> tuple[str, int]:
    """`songline.song.played.v1` as (`songline.song.played`, 1).

    Raises PoisonError for a type or version that is unknown here.
    """
    name, version = split_version(written) or ("", 0)
    if name not in EVENTS:
        raise PoisonError("unknown-type", f"{written[:100]!r} is none of {', '.join(sorted(ACCEPTED_TYPES))}")
    if version > EVENTS[name][0]:
        raise PoisonError(
            "unknown-version", f"{written!r} is newer than version {EVENTS[name][0]}, the newest known here"
        )
    return name, version


def uuid7(ms: int, entropy: int) -> str:
    """A UUID version 7 of Unix milliseconds and 74 bits of entropy. Source: RFC 9562 section 5.7."""
    high = (ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (entropy >> 62 & 0xFFF) << 64
    digits = f"{high | 0b10 << 62 | entropy & (1 << 62) - 1:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
