"""What the app asks for, in the imperative. A command can be refused, and exactly one kind of worker carries it out.

On the wire a command is a Service Bus message of the queue `song-commands`:

- the application property `command` is the command itself, as JSON (`encode`), never more than a few kilobytes;
- the message id is the command's id, so that duplicate detection drops a command that is sent twice, and the subject
  is its type, `songline.song.ingest.v1`;
- the body is the file that an `IngestSong` brings inline, and empty otherwise.
"""

from collections.abc import Mapping
from datetime import UTC
from typing import TypeAlias
from uuid import UUID, uuid5

import msgspec
from msgspec import Raw, Struct, structs

from songline.schemas.decoding import Body, Decoder, excerpt, read_whole
from songline.schemas.errors import ContractViolationError, PoisonError, Violation
from songline.schemas.genres import GENRE_RULE, genre_names, is_plain
from songline.schemas.moments import read_moment
from songline.schemas.names import several, shown_artist, split_artists
from songline.schemas.rules import broken_rule
from songline.schemas.texts import clean_file_name, clean_or_none, cleaned
from songline.schemas.typename import split_version
from songline.schemas.types import (
    GENRES_MAX,
    Artists,
    BlobName,
    FileName,
    Genre,
    Genres,
    Id,
    ImportRun,
    MediaType,
    Moment,
    OwnedId,
    Sha256,
    Size,
    Source,
    Text,
    TimezoneName,
    TraceParent,
)

PROPERTY = "command"
MAX_SONG_BYTES = 500_000_000

_IDS = UUID("5b0f6c1e-52b1-5d39-9f0a-7c1d0a5e6b21")


class Upload(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A file as it was received: what it should hash to, its length, and the media type that the sender claims.

    `blob` is the claim check, its name in the container `uploads`, which is the id of the ingestion; without one the
    file is the message's body.
    """

    sha256: Sha256
    size: Size
    content_type: MediaType
    blob: BlobName | None = None


class Metadata(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Metadata of the song that the uploader gives. It takes precedence over the file's own tags.

    `artists` and `genres` are there where `artist` names several, or `genre` is not the only one.
    """

    title: Text | None = None
    artist: Text | None = None
    album: Text | None = None
    genre: Genre | None = None
    artists: Artists | None = None
    genres: Genres | None = None


FIELDS = ("title", "artist", "album", "genre")
"""What an uploader says of a song, in texts."""


def read_metadata(fields: Mapping[str, str]) -> Metadata:
    """The metadata among the form fields `fields`, clean. Empty fields count as missing.

    Several artists or genres stand in one field, with a semicolon between them. Raises ContractViolationError.
    """
    said = {name: text for name in FIELDS if (text := clean_or_none(fields.get(name)))}
    given: dict[str, str | tuple[str, ...]] = dict(said)
    if artist := said.get("artist"):
        names = split_artists(artist)
        given["artist"] = shown_artist(names) or artist
        given |= {"artists": kept} if (kept := several(names)) else {}
    if genre := said.get("genre"):
        genres = genre_names(genre)[:GENRES_MAX]
        if not is_plain(genre):
            raise ContractViolationError(Violation("genre", excerpt(repr(genre)), GENRE_RULE))
        given["genre"] = genres[0]
        given |= {"genres": genres} if len(genres) > 1 else {}
    for name, value in given.items():
        try:
            msgspec.convert({name: value}, Metadata)
        except msgspec.ValidationError as error:
            saw = excerpt(repr(said[name.removesuffix("s")]))
            raise ContractViolationError(Violation(name.removesuffix("s"), saw, broken_rule(str(error)).rule)) from None
    return msgspec.convert(given, Metadata)


def said_fields(metadata: Metadata) -> dict[str, str]:
    """`metadata` as the form fields that `read_metadata` reads."""
    several_of = {"artist": metadata.artists, "genre": metadata.genres}
    values = {name: "; ".join(several_of.get(name) or ()) or getattr(metadata, name) for name in FIELDS}
    return {name: value for name, value in values.items() if value}


class IngestSong(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Store this file and make the song available. `user_id` is the uploader.

    The command's id is the ingestion's id, and becomes the song's.
    """

    user_id: Id
    upload: Upload
    file_name: FileName | None = None
    metadata: Metadata = Metadata()


class RemoveSong(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Take the song away. `user_id` asks for it, and must be the uploader."""

    user_id: Id
    song_id: OwnedId


class ImportHistory(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Read this file of listens that `user_id` heard elsewhere. It is staged, never inline, and deleted at the end.

    The command's id is the import's id; `run` counts how often the import was begun. `timezone` is that of local times
    in the file. With `dry_run` nothing is published.
    """

    user_id: Id
    upload: Upload
    run: ImportRun
    timezone: TimezoneName = "UTC"
    dry_run: bool = False


class UndoImport(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Take the import with the command's id back, whole. `user_id` is the listener whose it is."""

    user_id: Id


CommandPayload: TypeAlias = IngestSong | RemoveSong | ImportHistory | UndoImport

COMMANDS: dict[str, tuple[int, type[CommandPayload]]] = {
    "songline.song.ingest": (1, IngestSong),
    "songline.song.remove": (1, RemoveSong),
    "songline.history.import": (1, ImportHistory),
    "songline.history.undo": (1, UndoImport),
}
"""Logical name to (today's version, payload type)."""

TYPE_NAMES: dict[type[CommandPayload], str] = {
    order: f"{name}.v{version}" for name, (version, order) in COMMANDS.items()
}
"""Payload type to the `type` that it is written under."""


class Command(Struct, frozen=True, kw_only=True):
    """A command's payload with its context: its sender (`source`) and when it was sent (`time`, aware)."""

    id: Id
    source: Source
    time: Moment
    data: CommandPayload
    traceparent: TraceParent | None = None

    @property
    def type(self) -> str:
        return TYPE_NAMES[type(self.data)]


class CommandEnvelope(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The attributes of a command as they are written."""

    id: Id
    source: Source
    type: str
    time: Moment
    data: Raw
    traceparent: TraceParent | None = None


class _ReceivedCommand(Struct, frozen=True, kw_only=True):
    """The attributes as they come in: `time` as it is written."""

    id: Id
    source: Source
    type: str
    time: str
    data: Raw
    traceparent: TraceParent | None = None


_encoder = msgspec.json.Encoder()
_received = Decoder(_ReceivedCommand, "not-a-command")
_orders: dict[str, Decoder[CommandPayload]] = {
    name: Decoder(order, "broken-contract") for name, (_, order) in COMMANDS.items()
}


def encode(command: Command) -> bytes:
    """The command as JSON, its time in UTC and its texts clean."""
    return _encoder.encode(
        CommandEnvelope(
            id=command.id,
            source=command.source,
            type=command.type,
            time=command.time.astimezone(UTC),
            data=Raw(_encoder.encode(clean(command.data))),
            traceparent=command.traceparent,
        )
    )


def decode(text: Body | None) -> Command:
    """The command in `text`, its texts clean.

    Raises PoisonError, whose reasons are those of events (`not-a-command` for `not-an-event`).
    """
    received = _received.decode(text)
    time = read_moment(received.time, "not-a-command")
    name, version = split_version(received.type) or ("", 0)
    if name not in COMMANDS:
        raise PoisonError("unknown-type", f"{received.type[:100]!r} is none of {', '.join(TYPE_NAMES.values())}")
    if version != COMMANDS[name][0]:
        raise PoisonError("unknown-version", f"{received.type[:100]!r} is not version {COMMANDS[name][0]}, known here")
    order = read_whole(_orders[name], bytes(received.data), COMMANDS[name][1])
    return Command(
        id=received.id, source=received.source, time=time, data=clean(order), traceparent=received.traceparent
    )


def clean(order: CommandPayload) -> CommandPayload:
    """`order` with its free texts clean (see `songline.schemas.texts`), itself where they are."""
    if not isinstance(order, IngestSong):
        return order
    metadata = cleaned(order.metadata, (), ("title", "artist", "album", "artists"))
    file_name = clean_file_name(order.file_name)
    if metadata is order.metadata and file_name == order.file_name:
        return order
    return structs.replace(order, metadata=metadata, file_name=file_name)


def derived_id(kind: str, *parts: str) -> str:
    """An id that depends on its words only, so that a retry gets the same. Source: RFC 9562 section 5.5 (version 5).

    `derived_id("song-uploaded", ingestion_id)` is the id of the event that an ingestion ends in;
    `derived_id("ingestion", user_id, idempotency_key)` makes a retried upload the same upload.
    """
    return str(uuid5(_IDS, msgspec.json.encode([kind, *parts]).decode()))
