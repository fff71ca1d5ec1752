"""Ephemeral events: delivered to the clients that are connected at that moment, and stored nowhere.

They have a hub of their own and are none of the facts that projections are made of: nothing is lost with one.
"""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from songline.schemas.decoding import Body, Decoder
from songline.schemas.moments import read_moment
from songline.schemas.types import Id, Moment, Source

TYPE: Final = "songline.playback.started.v1"


class PlaybackStarted(Struct, frozen=True, kw_only=True, rename="camel"):
    """A listener began to play a song."""

    user_id: Id
    song_id: Id


class LiveEvent(Struct, frozen=True, kw_only=True):
    """The envelope, CloudEvents 1.0 in structured JSON, with PlaybackStarted as its data."""

    specversion: Literal["1.0"] = "1.0"
    id: Id
    source: Source
    type: Literal["songline.playback.started.v1"] = TYPE
    time: Moment
    data: PlaybackStarted


class _ReceivedLiveEvent(Struct, frozen=True, kw_only=True):
    """The envelope as it comes in: `time` as it is written."""

    specversion: Literal["1.0"] = "1.0"
    id: Id
    source: Source
    type: Literal["songline.playback.started.v1"] = TYPE
    time: str
    data: PlaybackStarted


_received = Decoder(_ReceivedLiveEvent)


def encode(event: LiveEvent) -> bytes:
    """The event as it is on the wire."""
    return msgspec.json.encode(event)


def decode(body: Body | None) -> LiveEvent:
    """The event in `body`, its time in UTC; raises PoisonError."""
    received = _received.decode(body)
    return LiveEvent(id=received.id, source=received.source, time=read_moment(received.time), data=received.data)
