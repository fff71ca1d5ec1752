"""What becomes of an upload: plain functions from what is known to what is written, without a wire.

Each is a step on the ingestion's document. Done again on its own outcome, a step changes nothing, so that a command may
be delivered, and its worker may die, at any moment and any number of times.
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
    """A command that can't be carried out. It is dead-lettered with `reason`; its sender must change it."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def begin(ingestion: Ingestion | None, command: Command, now: datetime) -> Ingestion:
    """A worker has the command: the ingestion is being processed, unless it is settled; raises PoisonError.

    The command carries all that the document says, so that it may come before the document.
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
    """`begin` as a patch of the document, and the condition under which it does the same: that no worker had the
    command before.

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
    """The outcome of an ingestion whose file was read: ready, with the event that says so, or rejected."""
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
        duration_ms=audio.duration_ms,
        sha256=order.upload.sha256,
        size=order.upload.size,
        content_type=audio.content_type,
    )
    event = _outgoing(derived_id("song-uploaded", ingestion.id), uploaded, command.traceparent, now)
    ready = _moved(ingestion, "ready", now)
    return structs.replace(ready, song_id=ingestion.id, audio=audio, outbox=(*ingestion.outbox, event))


def remove(ingestion: Ingestion | None, command: Command, now: datetime) -> Ingestion:
    """The song is taken away by its uploader, or its ingestion is called off; raises CommandRefusedError."""
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
    """The event that takes away a song which came in by another way and is in the catalog only; None when it has gone.

    There is no document of ours to decide in, so all of the event follows from the command. Raises CommandRefusedError.
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


def published(ingestion: Ingestion, events: tuple[dict[str, Any], ...]) -> Ingestion:
    """The hub has `events`: they leave the outbox; what came into it meanwhile stays."""
    return structs.replace(ingestion, outbox=tuple(event for event in ingestion.outbox if event not in events))


def died(ingestion: Ingestion | None, command: Command, text: str, now: datetime) -> Ingestion:
    """The command was given up: the ingestion is dead until somebody sends it again."""
    known = ingestion or begin(None, command, now)
    if known.settled or known.state == "dead":
        return known
    return _moved(known, "dead", now, Reason(cause="failed", text=text))


def overdue(ingestion: Ingestion, now: datetime, unfinished: timedelta, lost: timedelta) -> Ingestion:
    """An upload that was not finished for so long is given up; so is a command of which nothing was heard for so long.

    Neither is the last word: a command that comes after all is carried out.
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
    """The bytes of a song that was taken away are gone, or are another song's too."""
    return ingestion if ingestion.erased_at else structs.replace(ingestion, erased_at=now)


def _quoted(text: str) -> str:
    """A string of Cosmos DB's SQL, which are JSON's."""
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
    )


def _outgoing(event_id: str, data: Payload, traceparent: str | None, now: datetime) -> dict[str, Any]:
    """An event as it will be on the wire, down to its time: published twice it is the same event."""
    event = Event(id=event_id, source=SOURCE, time=now.astimezone(UTC), data=data, traceparent=traceparent)
    return msgspec.json.decode(encode(event), type=dict[str, Any])


def _moved(ingestion: Ingestion, state: State, now: datetime, reason: Reason | None = None) -> Ingestion:
    if ingestion.state == state == "processing":
        return structs.replace(ingestion, updated_at=now)
    history = (*ingestion.history, Transition(state=state, at=now, reason=reason))[-HISTORY_MAX:]
    return structs.replace(ingestion, state=state, updated_at=now, reason=reason, history=history)
