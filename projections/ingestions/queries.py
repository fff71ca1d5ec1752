"""Reads ingestions, and streams their steps as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec
from fastapi.sse import format_sse_event
from msgspec import Struct

from songline.projections.live.snapshot import Waiting
from songline.projections.store import DocumentStore, StoreUnavailableError
from songline.schemas.ingestions import STATES, Ingestion, IngestionAnswer, Reason, State, Transition
from songline.schemas.types import Id, Moment

POLL = 0.5
HEARTBEAT = 15.0
MAX_LISTED = 100
_COUNT = "SELECT VALUE COUNT(1) FROM c WHERE c.state = @state"
_OLDEST = "SELECT VALUE c.updatedAt FROM c WHERE c.state IN ('received', 'queued', 'processing') ORDER BY c.updatedAt"
_NEWEST = {
    (False, False): "SELECT * FROM c ORDER BY c.updatedAt DESC",
    (True, False): "SELECT * FROM c WHERE c.state = @state ORDER BY c.updatedAt DESC",
    (False, True): "SELECT * FROM c WHERE c.userId = @user ORDER BY c.updatedAt DESC",
    (True, True): "SELECT * FROM c WHERE c.state = @state AND c.userId = @user ORDER BY c.updatedAt DESC",
}
"""The query for the newest uploads, by whether a state and a user are given."""
FINAL: tuple[State, ...] = ("ready", "rejected", "dead")


class IngestionsAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """Uploads, most recently updated first."""

    as_of: Moment
    ingestions: tuple[IngestionAnswer, ...]


class Step(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The upload `id` entered `state` at a moment. `song_id` is set when it is ready."""

    id: Id
    state: State
    at: Moment
    reason: Reason | None = None
    song_id: Id | None = None
    note: str | None = None


def shown(ingestion: Ingestion, as_of: Moment) -> IngestionAnswer:
    """The ingestion for the API, without the worker's own fields."""
    return IngestionAnswer(
        as_of=as_of,
        id=ingestion.id,
        user_id=ingestion.user_id,
        state=ingestion.state,
        received_at=ingestion.received_at,
        updated_at=ingestion.updated_at,
        file_name=ingestion.file_name,
        content_type=ingestion.upload.content_type,
        sha256=ingestion.upload.sha256,
        size=ingestion.upload.size,
        attempts=ingestion.attempts,
        reason=ingestion.reason,
        song_id=ingestion.song_id,
        audio=ingestion.audio,
        removed_at=ingestion.removed_at,
        history=steps(ingestion),
    )


async def moved_last(
    store: DocumentStore, state: State | None, limit: int, user_id: str | None = None
) -> list[Ingestion]:
    """The `limit` most recently updated uploads, of those in `state` and by `user_id` if they are given.

    Raises StoreUnavailableError.
    """
    parameters: list[dict[str, object]] = [{"name": "@state", "value": state}, {"name": "@user", "value": user_id}]
    query = _NEWEST[state is not None, user_id is not None]
    return await store.find(query, [one for one in parameters if one["value"] is not None], limit, Ingestion)


async def waiting(store: DocumentStore) -> Waiting:
    """The number of uploads in each state. Raises StoreUnavailableError."""
    counts: dict[State, int] = {}
    for state in STATES:
        (counts[state],) = await store.values(_COUNT, [{"name": "@state", "value": state}], 1, int)
    oldest = await store.values(_OLDEST, [], 1, datetime)
    return Waiting(states=counts, waiting_since=oldest[0] if oldest else None)


def steps(ingestion: Ingestion) -> tuple[Transition, ...]:
    """The states with their moments, oldest first; at least one."""
    return ingestion.history or (Transition(state=ingestion.state, at=ingestion.updated_at, reason=ingestion.reason),)


def mark(step: Transition) -> str:
    """The id of a step in a stream. Two successive steps differ in moment or state."""
    return f"{step.at.isoformat(timespec='microseconds')}/{step.state}"


def unseen(history: Sequence[Transition], seen: str | None) -> Sequence[Transition]:
    """The steps after the one with the mark `seen`; all steps if that is unknown."""
    for number, step in enumerate(history):
        if mark(step) == seen:
            return history[number + 1 :]
    return history


def settled(ingestion: Ingestion, seen: str | None) -> bool:
    """Whether the ingestion is in a final state and has no step after the mark `seen`."""
    return ingestion.state in FINAL and not unseen(steps(ingestion), seen)


async def stream(
    store: DocumentStore, ingestion: Ingestion, seen: str | None, poll: float = POLL, heartbeat: float = HEARTBEAT
) -> AsyncIterator[bytes]:
    """Server-sent events: each step after `seen` as it comes, up to a final one.

    The document is polled every `poll` seconds. A comment follows after `heartbeat` seconds without a step, so that no
    proxy closes the connection as idle.

    Source: HTML Living Standard, section 9.2 (server-sent events).
    """
    loop = asyncio.get_running_loop()
    sent_s = loop.time()
    while True:
        for step in unseen(steps(ingestion), seen):
            seen = mark(step)
            sent_s = loop.time()
            yield _event(ingestion, step, seen)
        if ingestion.state in FINAL:
            return
        if loop.time() - sent_s >= heartbeat:
            sent_s = loop.time()
            yield format_sse_event(comment=ingestion.state)
        await asyncio.sleep(poll)
        try:
            ingestion = await store.read(ingestion.id, ingestion.id, Ingestion) or ingestion
        except StoreUnavailableError:
            # The heartbeat continues until the store answers again or the client leaves.
            continue


def _event(ingestion: Ingestion, step: Transition, mark: str) -> bytes:
    song_id = ingestion.song_id if step.state == "ready" else None
    data = Step(id=ingestion.id, state=step.state, at=step.at, reason=step.reason, song_id=song_id, note=step.note)
    return format_sse_event(event=step.state, data_str=msgspec.json.encode(data).decode(), id=mark)
