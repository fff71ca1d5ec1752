"""The transitions of an ingestion: pure functions from the known document to the one that is written.

Each transition is idempotent: applied to its own result, it changes nothing. So a command may be delivered any number
of times, and its worker may die at any moment.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import structs

from songline.processors.ingestion.audio import tags
from songline.processors.ingestion.audio.probe import ProbedAudio, RefusedAudio
from songline.schemas.commands import Command, IngestSong, RemoveSong, derived_id
from songline.schemas.envelope import Event, encode
from songline.schemas.errors import PoisonError
from songline.schemas.events import Payload, SongRemoved, SongUploaded
from songline.schemas.ingestions import Audio, Ingestion, Reason, State, Transition
from songline.schemas.songs import SongDocument

SOURCE = "/processors/ingestion"
HISTORY_MAX = 50


class CommandRefusedError(Exception):
    """A command that can never be carried out. It is dead-lettered with `reason`; its sender must change it."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def begin(ingestion: Ingestion | None, command: Command, now: datetime) -> Ingestion:
    """The ingestion after a worker received the command: processing, unless it is settled; raises PoisonError.

    The command has all fields of the document, because it may arrive before the document is written.
    """
    order = _ingest(command)
    if ingestion is None:
        ingestion = Ingestion(
            id=command.id,
            user_id=order.user_id,
            state="received",
            received_at=command.time,
            updated_at=command.time,
            upload=order.upload,
            file_name=order.file_name,
            metadata=order.metadata,
            history=(Transition(state="received", at=command.time),),
        )
    if (ingestion.user_id, ingestion.upload.sha256) != (order.user_id, order.upload.sha256):
        raise PoisonError("broken-contract", f"ingestion {command.id} was begun by another user, or with another file")
    if ingestion.settled:
        return ingestion
    return structs.replace(_moved(ingestion, "processing", now), attempts=ingestion.attempts + 1)


def begin_patch(command: Command, now: datetime) -> tuple[list[dict[str, Any]], str]:
    """`begin` as a patch of the document, and the condition under which both are equal: no worker had the command yet.

    Source: "Partial document update" and "Conditional patch" of the Cosmos DB documentation.
    """
    order = _ingest(command)
    moved = Transition(state="processing", at=now)
    operations = [
        {"op": "set", "path": "/state", "value": moved.state},
        {"op": "set", "path": "/updatedAt", "value": msgspec.to_builtins(now)},
        {"op": "incr", "path": "/attempts", "value": 1},
        {"op": "add", "path": "/history/-", "value": msgspec.to_builtins(moved)},
    ]
    condition = (
        f"FROM c WHERE c.state IN ('received', 'queued') AND c.userId = {_quoted(order.user_id)}"
        f" AND c.upload.sha256 = {_quoted(order.upload.sha256)} AND NOT IS_DEFINED(c.reason)"
        f" AND ARRAY_LENGTH(c.history) < {HISTORY_MAX}"
    )
    return operations, condition


def decide(ingestion: Ingestion, command: Command, finding: ProbedAudio | RefusedAudio, now: datetime) -> Ingestion:
    """The ingestion after its file was probed: ready, with the event `song.uploaded` in its outbox, or rejected."""
    if ingestion.settled:
        return ingestion
    if isinstance(finding, RefusedAudio):
        return _moved(ingestion, "rejected", now, finding.reason)
    order = _ingest(command)
    audio = _audio(order, finding)
    uploaded = SongUploaded(
        user_id=order.user_id,
        song_id=ingestion.id,
        title=audio.title,
        artist=audio.artist,
        album=audio.album,
        genre=audio.genre,
        artists=audio.artists,
        genres=audio.genres,
        duration_ms=audio.duration_ms,
        sha256=order.upload.sha256,
        size=order.upload.size,
        content_type=audio.content_type,
    )
    event = _outgoing(derived_id("song-uploaded", ingestion.id), uploaded, command.traceparent, now)
    ready = _moved(ingestion, "ready", now, note=finding.note)
    return structs.replace(ready, song_id=ingestion.id, audio=audio, outbox=(*ingestion.outbox, event))


def remove(ingestion: Ingestion | None, command: Command, now: datetime) -> Ingestion:
    """The ingestion after its uploader removed the song or cancelled the upload; raises CommandRefusedError."""
    order = command.data
    assert isinstance(order, RemoveSong)
    if ingestion is None or (ingestion.state == "rejected" and ingestion.removed_at is None):
        raise CommandRefusedError("unknown-song", f"there is no song {order.song_id}")
    if ingestion.user_id != order.user_id:
        raise CommandRefusedError("not-the-uploader", f"song {order.song_id} is not {order.user_id}'s to remove")
    if ingestion.removed_at is not None:
        return ingestion
    if ingestion.state != "ready":
        reason = Reason(cause="removed", text="Its uploader took it away before it was ready.")
        return structs.replace(_moved(ingestion, "rejected", now, reason), removed_at=now)
    removed = SongRemoved(user_id=order.user_id, song_id=order.song_id)
    event = _outgoing(derived_id("song-removed", ingestion.id), removed, command.traceparent, now)
    return structs.replace(ingestion, removed_at=now, updated_at=now, outbox=(*ingestion.outbox, event))


def withdraw(known: SongDocument | None, command: Command) -> dict[str, Any] | None:
    """The event that removes a song without an ingestion, which is only in the catalog; None if it is removed already.

    Without a document to store the event, all of it follows from the command. Raises CommandRefusedError.
    """
    order = command.data
    assert isinstance(order, RemoveSong)
    if known is None or known.latest is None:
        raise CommandRefusedError("unknown-song", f"there is no song {order.song_id}")
    if known.owner not in (None, order.user_id):
        raise CommandRefusedError("not-the-uploader", f"song {order.song_id} is not {order.user_id}'s to remove")
    if known.song is None:
        return None
    removed = SongRemoved(user_id=order.user_id, song_id=order.song_id)
    return _outgoing(derived_id("song-removed", order.song_id), removed, command.traceparent, command.time)


def is_available(ingestion: Ingestion | None) -> bool:
    """Whether the ingestion is that of a song that can be had: its bytes are stored, and stay."""
    return ingestion is not None and ingestion.state == "ready" and ingestion.removed_at is None


def published(ingestion: Ingestion, events: tuple[dict[str, Any], ...]) -> Ingestion:
    """The ingestion after the hub received `events`: its outbox without them. Newer events stay."""
    return structs.replace(ingestion, outbox=tuple(event for event in ingestion.outbox if event not in events))


def died(ingestion: Ingestion | None, command: Command, text: str, now: datetime) -> Ingestion:
    """The ingestion after its command was given up: dead, until the command is sent again."""
    known = ingestion or begin(None, command, now)
    if known.settled or known.state == "dead":
        return known
    return _moved(known, "dead", now, Reason(cause="failed", text=text))


def overdue(ingestion: Ingestion, now: datetime, unfinished: timedelta, lost: timedelta) -> Ingestion:
    """The ingestion: rejected if its upload is unfinished for `unfinished`, dead if its command is silent for `lost`.

    A command that arrives later is still carried out.
    """
    quiet = now - ingestion.updated_at
    if ingestion.state == "received" and quiet > unfinished:
        reason = Reason(cause="unfinished", text="The upload was never finished. Send the file again.")
        return _moved(ingestion, "rejected", now, reason)
    if ingestion.state in ("queued", "processing") and quiet > lost:
        hours = quiet.total_seconds() / 3600
        text = f"Nothing was heard of it for {hours:.0f} hours. If that stays so, send the file again."
        return _moved(ingestion, "dead", now, Reason(cause="failed", text=text))
    return ingestion


def erased(ingestion: Ingestion, now: datetime) -> Ingestion:
    """The ingestion of a removed song after its bytes were deleted, or found to belong to another song too."""
    return ingestion if ingestion.erased_at else structs.replace(ingestion, erased_at=now)


def _quoted(text: str) -> str:
    """`text` as a string literal of Cosmos DB's SQL, which has JSON's form."""
    return msgspec.json.encode(text).decode()


def _ingest(command: Command) -> IngestSong:
    assert isinstance(command.data, IngestSong)
    return command.data


def _audio(order: IngestSong, found: ProbedAudio) -> Audio:
    metadata = tags.over(order.metadata, found.metadata)
    return Audio(
        format=found.format,
        content_type=found.content_type,
        duration_ms=found.duration_ms,
        title=metadata.title or tags.title_from(order.file_name),
        artist=metadata.artist or tags.UNKNOWN_ARTIST,
        album=metadata.album,
        genre=metadata.genre,
        artists=metadata.artists,
        genres=metadata.genres,
    )


def _outgoing(event_id: str, data: Payload, traceparent: str | None, now: datetime) -> dict[str, Any]:
    """An event in its published form, including its time, so that publishing it twice gives the same event."""
    event = Event(id=event_id, source=SOURCE, time=now.astimezone(UTC), data=data, traceparent=traceparent)
    return msgspec.json.decode(encode(event), type=dict[str, Any])


def _moved(
    ingestion: Ingestion, state: State, now: datetime, reason: Reason | None = None, note: str | None = None
) -> Ingestion:
    if ingestion.state == state == "processing":
        return structs.replace(ingestion, updated_at=now)
    history = (*ingestion.history, Transition(state=state, at=now, reason=reason, note=note))[-HISTORY_MAX:]
    return structs.replace(ingestion, state=state, updated_at=now, reason=reason, history=history)
