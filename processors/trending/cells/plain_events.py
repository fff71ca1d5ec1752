"""Listeners' actions as types that decode fast: all that the contract asks for, but for the rules of single texts.

What they leave to their reader: the characters of ids, the region, the time, and what `schemas.decoding.is_plain` looks
at. Any other event, one of another version, and one that is sent again, can't be read as one of these.
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from songline.processors.trending.count_table import LIKES, LISTENS, UNLIKES
from songline.schemas.decoding import Decoder
from songline.schemas.events import TYPE_NAMES, SongLiked, SongPlayed, SongUnliked
from songline.schemas.types import Device, DurationMs, Source, TraceParent

_Short = Annotated[str, Meta(min_length=1, max_length=128)]


class PlainPlay(Struct, rename="camel", gc=False):
    kind: ClassVar[int] = LISTENS
    user_id: str
    song_id: str
    played_ms: DurationMs | None = None
    duration_ms: DurationMs | None = None
    region: str | None = None
    device: Device | None = None


class PlainPlayV1(Struct, rename="camel", gc=False):
    kind: ClassVar[int] = LISTENS
    user_id: str
    song_id: str
    played_ms: DurationMs
    duration_ms: DurationMs
    region: str
    device: Device | None = None


class PlainLike(Struct, rename="camel", gc=False):
    """A like, of which there is no listening time."""

    kind: ClassVar[int] = LIKES
    played_ms: ClassVar[None] = None
    duration_ms: ClassVar[None] = None
    user_id: str
    song_id: str
    region: str | None = None


class PlainUnlike(PlainLike, gc=False):
    kind: ClassVar[int] = UNLIKES


class _Envelope(Struct, kw_only=True, tag_field="type", gc=False):
    specversion: Literal["1.0"]
    id: _Short
    source: Source
    subject: str | None = None
    time: str
    partitionkey: _Short | None = None
    datacontenttype: str | None = None
    traceparent: TraceParent | None = None
    resubmitof: None = None


class _Played(_Envelope, tag=TYPE_NAMES[SongPlayed], gc=False):
    data: PlainPlay


class _PlayedV1(_Envelope, tag="songline.song.played.v1", gc=False):
    data: PlainPlayV1


class _Liked(_Envelope, tag=TYPE_NAMES[SongLiked], gc=False):
    data: PlainLike


class _Unliked(_Envelope, tag=TYPE_NAMES[SongUnliked], gc=False):
    data: PlainUnlike


PlainEvent = _Played | _PlayedV1 | _Liked | _Unliked

decode_plain: Callable[[bytes], PlainEvent] = Decoder(PlainEvent).raw
"""Raises DECODING_ERRORS for all that is none of these."""
