"""Whose uploads, imports and events a caller reaches, and how much one uploads: over the API with all its services."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from songline.api.limit_settings import UPLOAD_BYTES
from songline.api.operations import OPERATIONS, SubjectRule
from songline.cloud import cosmos
from songline.identity.scopes import OWN_SCOPES, Scope
from songline.processes.entities import CONTAINERS
from songline.processes.environment import OUTBOX
from songline.schemas.channels import DATABASE
from tests.support.api import ApiProcess, token
from tests.support.ingestion import App
from tests.support.localcloud import LocalCloud

Bearer = Callable[..., dict[str, str]]

ONE = {"content-type": "application/cloudevents+json"}
AUDIO = {"content-type": "audio/flac"}
ADA, GRACE = "ada", "grace"


@pytest.fixture
async def http(app: App, limited_api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    await cosmos.ensure(app.cosmos, DATABASE, CONTAINERS)
    async with httpx.AsyncClient(base_url=limited_api.address, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def limited_api(song_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder = tmp_path_factory.mktemp("limited")
    settings = {OUTBOX: str(folder / "outbox.db"), UPLOAD_BYTES: "100000"}
    api = ApiProcess({**song_cloud.environment, **settings}, folder / "api.log").start()
    yield api
    api.kill()


@pytest.fixture
def bearer(song_cloud: LocalCloud) -> Bearer:
    """The headers of a caller: a listener, or the client itself, with scopes of its own."""

    def headers(user: str | None, *scopes: Scope) -> dict[str, str]:
        return {"Authorization": f"Bearer {token(song_cloud.environment, user, [str(scope) for scope in scopes])}"}

    return headers


def liked(user: str) -> str:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"callers-{user}",
            "source": "/tests",
            "type": "songline.song.liked.v1",
            "time": datetime.now(UTC).isoformat(),
            "data": {"userId": user, "songId": "song-1"},
        }
    )


async def test_no_operation_reaches_what_is_anothers(http: httpx.AsyncClient, bearer: Bearer) -> None:
    """Every operation that finds out for itself whom a request is about; the guard looks at paths (test_guard.py)."""
    made = {}
    for path in ("/v1/songs", "/v1/imports"):
        answer = await http.post(path, content=b"noise", headers={**bearer(GRACE), **AUDIO})
        assert answer.status_code == 202, answer.text
        made[path] = answer.json()["id"]
    hers = {"X-User-Id": GRACE}
    play = {"userId": GRACE, "playedMs": 60_000, "durationMs": 60_000}
    asked: dict[tuple[str, str], dict[str, Any]] = {
        ("POST", "/v1/events"): {"content": liked(GRACE), "headers": ONE},
        ("POST", "/v1/songs/{song_id}/plays"): {"json": play},
        ("POST", "/v1/songs"): {"content": b"noise", "headers": {**AUDIO, **hers}},
        ("DELETE", "/v1/songs/{song_id}"): {"headers": hers},
        ("GET", "/v1/ingestions/{ingestion_id}"): {},
        ("GET", "/v1/ingestions/{ingestion_id}/events"): {},
        ("POST", "/v1/imports"): {"content": b"noise", "headers": {**AUDIO, **hers}},
        ("POST", "/v1/imports/{import_id}/stop"): {},
        ("POST", "/v1/imports/{import_id}/undo"): {},
        ("GET", "/v1/imports/{import_id}"): {},
    }
    # It lists one's own, whatever is asked for.
    lists = {("GET", "/v1/ingestions")}
    for key, operation in OPERATIONS.items():
        # A player's token is its listener's own, and no request of a player names another one.
        if operation.subject is not SubjectRule.REQUEST or key in lists or not key[1].startswith("/v1/"):
            continue
        assert key in asked, f"{' '.join(key)} is not asked here for what is another's"
        method, path = key
        for name, value in {
            "{song_id}": made["/v1/songs"],
            "{ingestion_id}": made["/v1/songs"],
            "{import_id}": made["/v1/imports"],
        }.items():
            path = path.replace(name, value)
        options = {**asked[key], "headers": {**asked[key].get("headers", {}), **bearer(ADA, *OWN_SCOPES)}}
        answer = await http.request(method, path, **options)
        assert answer.status_code == 403, (key, answer.text)
        wider = operation.scopes[1]
        assert answer.headers["www-authenticate"].endswith(f'error="insufficient_scope", scope="{wider}"'), key
    listed = await http.get("/v1/ingestions", headers=bearer(ADA, *OWN_SCOPES))
    assert made["/v1/songs"] not in {one["id"] for one in listed.json()["ingestions"]}


async def test_a_caller_uploads_so_many_bytes_in_a_day(http: httpx.AsyncClient, bearer: Bearer) -> None:
    """100,000 bytes, of which as good as none come back while this test lasts: 70 in a minute."""
    own = {**bearer("edsger"), **AUDIO}
    policy = '"upload-bytes";q=100000;w=86400'

    async def send(path: str, size: int) -> httpx.Response:
        return await http.post(path, content=b"x" * size, headers=own)

    first = await send("/v1/songs", 40_000)
    assert first.status_code == 202, first.text
    assert policy in first.headers["ratelimit-policy"]
    assert '"upload-bytes";r=6' in first.headers["ratelimit"]
    # A form counts by its file; what surrounds it comes back.
    form = await http.post("/v1/songs", files={"file": b"y" * 30_000}, headers=bearer("edsger"))
    assert form.status_code == 202, form.text
    for path in ("/v1/songs", "/v1/imports"):
        refused = await send(path, 50_000)
        assert (refused.status_code, refused.json()["title"]) == (429, "Uploaded too much"), refused.text
        assert 10_000 < int(refused.headers["retry-after"]) <= 17_280
        large = await send(path, 100_001)
        assert large.status_code == 413, large.text
        assert "expected at most 100000 in a day" in large.json()["detail"]
    # What is refused for another reason costs nothing.
    wrong = {**own, "X-User-Id": GRACE}
    for _ in range(4):
        assert (await http.post("/v1/songs", content=b"x" * 20_000, headers=wrong)).status_code == 403
    last = await send("/v1/imports", 20_000)
    assert last.status_code == 202, last.text
    # Others have as much, and an operator has no bound.
    operator = {**bearer(None, Scope.ADMIN), **AUDIO, "X-User-Id": "edsger"}
    free = await http.post("/v1/songs", content=b"x" * 200_000, headers=operator)
    assert free.status_code == 202, free.text
    assert "upload-bytes" not in free.headers["ratelimit-policy"]
