"""The state of one upload, as the API shows it: the document of the container `ingestions`.

The document is also where the worker keeps the events that follow from it until they are published (`outbox`): what
was decided and what must be said about it are one write.
"""

from typing import Any, Literal, get_args

from msgspec import Struct

from songline.schemas.commands import Metadata, Upload
from songline.schemas.types import (
    Artists,
    DurationMs,
    FileName,
    Genre,
    Genres,
    Id,
    MediaType,
    Moment,
    Sha256,
    Size,
    Text,
)

State = Literal["received", "queued", "processing", "ready", "rejected", "dead"]
STATES: tuple[State, ...] = get_args(State)

Cause = Literal[
    "empty",
    "not-audio",
    "unsupported",
    "cut-off",
    "corrupt",
    "too-big",
    "too-long",
    "hash-mismatch",
    "missing-upload",
    "unfinished",
    "removed",
    "failed",
]
"""Why a song did not get in: a word for programs; the sentence for people stands beside it."""


class Reason(Struct, frozen=True, kw_only=True, rename="camel"):
    """Why an ingestion was rejected or died: a word for programs and a sentence for people."""

    cause: Cause
    text: str


class Transition(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An ingestion came into `state` at a moment. `note` is a sentence for its owner where the file is a song and
    something about it is odd."""

    state: State
    at: Moment
    reason: Reason | None = None
    note: str | None = None


class Audio(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A song's metadata: what the uploader gives, and for the rest what the file has."""

    format: str
    content_type: str
    duration_ms: DurationMs
    title: Text
    artist: Text
    album: Text | None = None
    genre: Genre | None = None
    artists: Artists | None = None
    genres: Genres | None = None


class Ingestion(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One upload on its way.

    received: the file comes in; queued: the broker has the command; processing: a worker has it; and then one of
    ready (the song `song_id` is available), rejected (for the `reason`, and sending the file again is of no use) and
    dead (it failed too often, for the `reason`; an operator can send it again).

    `history` holds every state with its moment, oldest first. `audio` is set once it is ready. `outbox` are events
    that are decided and not known to be published, oldest first, as they go into the hub. `removed_at` and
    `erased_at`: the song was taken away again, and then its bytes too.
    """

    id: Id
    user_id: Id
    state: State
    received_at: Moment
    updated_at: Moment
    upload: Upload
    file_name: FileName | None = None
    metadata: Metadata = Metadata()
    history: tuple[Transition, ...] = ()
    attempts: int = 0
    reason: Reason | None = None
    song_id: Id | None = None
    audio: Audio | None = None
    outbox: tuple[dict[str, Any], ...] = ()
    removed_at: Moment | None = None
    erased_at: Moment | None = None

    @property
    def settled(self) -> bool:
        """Nothing is left for a worker to do but to publish what may be in the outbox.

        An upload that was given up as unfinished is taken up again when its command comes after all.
        """
        if self.state == "rejected":
            return self.reason is None or self.reason.cause != "unfinished"
        return self.state == "ready"


class IngestionAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """An upload on its way, as of `as_of`: see `Ingestion`. `audio` is what it was found to be,
    `reason` why it did not get in."""

    as_of: Moment
    id: Id
    user_id: Id
    state: State
    received_at: Moment
    updated_at: Moment
    file_name: FileName | None
    content_type: MediaType
    sha256: Sha256
    size: Size
    attempts: int
    reason: Reason | None
    song_id: Id | None
    audio: Audio | None
    removed_at: Moment | None
    history: tuple[Transition, ...]
