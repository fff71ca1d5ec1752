"""Ingestions over HTTP, looked up and followed, from documents as the API and the worker write them."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient
from msgspec import structs

from songline.cloud import cosmos
from songline.projections.ingestions.queries import stream
from songline.projections.store import DocumentStore
from songline.schemas.channels import DATABASE, INGESTIONS
from songline.schemas.commands import Upload
from songline.schemas.ingestions import Ingestion, Reason, State, Transition

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def container(database: CosmosClient) -> ContainerProxy:
    return cosmos.container(database, DATABASE, INGESTIONS)


class Way:
    """An upload whose document goes from state to state."""

    def __init__(self, container: ContainerProxy, ingestion_id: str) -> None:
        self._container = container
        self._at = NOON
        upload = Upload(sha256="ab" * 32, size=5, content_type="audio/wav", blob=ingestion_id)
        self.now = Ingestion(
            id=ingestion_id, user_id="user-7", state="received", received_at=NOON, updated_at=NOON, upload=upload
        )

    async def comes_to(self, *states: State, reason: Reason | None = None) -> None:
        for state in states:
            self._at += timedelta(seconds=1)
            step = Transition(state=state, at=self._at, reason=reason)
            self.now = structs.replace(
                self.now,
                state=state,
                updated_at=self._at,
                reason=reason,
                history=(*self.now.history, step),
                song_id=self.now.id if state == "ready" else None,
                outbox=({"id": "secret"},),
            )
        await self._container.upsert_item(msgspec.to_builtins(self.now))


def told(text: str) -> list[str]:
    return re.findall(r"^event: (\w+)$", text, re.MULTILINE)


async def test_an_ingestion_tells_the_truth_and_keeps_the_workers_own(
    container: ContainerProxy, songs_api: httpx.AsyncClient
) -> None:
    upload = Way(container, "refused")
    why = Reason(cause="cut-off", text="The file is cut off. Send it whole.")
    await upload.comes_to("received", "queued", "processing")
    await upload.comes_to("rejected", reason=why)
    answer = await songs_api.get("/v1/ingestions/refused")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    body = answer.json()
    assert body["state"] == "rejected"
    assert body["reason"] == {"cause": "cut-off", "text": "The file is cut off. Send it whole."}
    assert [step["state"] for step in body["history"]] == ["received", "queued", "processing", "rejected"]
    assert "secret" not in answer.text
    unknown = await songs_api.get("/v1/ingestions/never")
    assert (unknown.status_code, unknown.json()["title"]) == (404, "No such ingestion")
    assert (await songs_api.get("/v1/ingestions/never/events")).status_code == 404


async def test_a_stream_tells_each_step_once_and_ends_with_the_last(
    container: ContainerProxy, songs_api: httpx.AsyncClient
) -> None:
    upload = Way(container, "followed")
    await upload.comes_to("received")
    streaming = asyncio.create_task(songs_api.get("/v1/ingestions/followed/events"))
    await upload.comes_to("queued")
    # Two at once: what a poll misses, the history has.
    await upload.comes_to("processing", "ready")
    answer = await streaming
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert told(answer.text) == ["received", "queued", "processing", "ready"]
    events = answer.text.strip().split("\n\n")
    last = events[-1].splitlines()
    assert last[0] == "event: ready"
    assert msgspec.json.decode(last[1].removeprefix("data: ")) == {
        "id": "followed",
        "state": "ready",
        "at": "2026-11-22T12:00:04Z",
        "songId": "followed",
    }
    marks = re.findall(r"^id: (.+)$", answer.text, re.MULTILINE)
    rest = await songs_api.get("/v1/ingestions/followed/events", headers={"Last-Event-ID": marks[1]})
    assert told(rest.text) == ["processing", "ready"]
    # An EventSource connects again when a stream ends, and gives up at 204.
    seen = await songs_api.get("/v1/ingestions/followed/events", headers={"Last-Event-ID": marks[-1]})
    assert (seen.status_code, seen.content) == (204, b"")


async def test_steps_come_as_they_happen_with_heartbeats_between(container: ContainerProxy) -> None:
    upload = Way(container, "slow")
    await upload.comes_to("received", "queued")
    events = stream(DocumentStore(container), upload.now, None, poll=0.02, heartbeat=0.05)
    async with asyncio.timeout(60):
        assert [told((await anext(events)).decode()) for _ in range(2)] == [["received"], ["queued"]]
        assert (await anext(events)).startswith(b": queued")
        await upload.comes_to("dead", reason=Reason(cause="failed", text="The disk burned."))
        left = [event async for event in events]
    assert told(left[-1].decode()) == ["dead"]
    assert b"The disk burned." in left[-1]
    assert all(event.startswith(b": ") for event in left[:-1])
