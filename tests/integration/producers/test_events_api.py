"""POST /v1/events and its kin, through a process of the API, over the real SDK."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from songline.api.guard_settings import AUTH
from songline.api.publishing import SPILL_AFTER
from songline.processes.environment import OUTBOX
from songline.schemas.envelope import Event, decode
from songline.schemas.events import SongLiked, SongPlayed, SongUnliked
from tests.integration.producers.reading import read_all
from tests.support.api import ApiProcess
from tests.support.bad_bytes import BAD_RECORDS
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for_async

ONE = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json; charset=utf-8"}


def played(user: str, number: int, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{user}-{number}",
        "source": "/tests",
        "type": "songline.song.played.v1",
        "time": datetime.now(UTC).isoformat(),
        "data": {"userId": user, "songId": "song-1", "playedMs": 1, "durationMs": 2, "region": "DE", **data},
    }


@pytest.fixture(scope="module")
def api(shared_localcloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    folder = tmp_path_factory.mktemp("api")
    # A busy machine may be slow to open links; that alone must not send events over the disk here.
    environment = {**shared_localcloud.environment, OUTBOX: str(folder / "outbox.db"), SPILL_AFTER: "60"}
    api = ApiProcess(environment, folder / "api.log").start()
    yield api
    api.kill()


@pytest.fixture
async def http(api: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client() as client:
        yield client


async def of_user(cloud: LocalCloud, user: str) -> list[tuple[int, int, Event]]:
    """Partition, sequence number and event of every event that this user has in the hub."""
    return [
        (partition, number, decode(value))
        for partition, events in enumerate(await read_all(cloud))
        for number, (key, value) in enumerate(events)
        if key == user.encode()
    ]


async def test_one_event_is_in_the_hub_at_the_position_that_is_told(
    http: httpx.AsyncClient, shared_localcloud: LocalCloud
) -> None:
    # Sent again, it is known.
    for expected in ({}, {"duplicate": True}):
        response = await http.post("/v1/events", content=json.dumps(played("one", 1)), headers=ONE)
        assert response.status_code == 200, response.text
        ((partition, number, event),) = await of_user(shared_localcloud, "one")
        assert event.id == "one-1"
        position = response.json().pop("position")
        assert position.keys() == {str(partition)}
        assert position[str(partition)] >= number
        assert response.json() == {"id": "one-1", "status": "sent", "position": position, **expected}


async def test_every_event_of_a_batch_has_a_result_and_what_is_good_goes_through(
    http: httpx.AsyncClient, shared_localcloud: LocalCloud
) -> None:
    good = [played("batch", number) for number in range(4)]
    batch = [good[0], played("batch", 8, region="XX"), 17, good[1], {"id": "no-event"}, good[2], good[2], good[3]]
    response = await http.post("/v1/events", content=json.dumps(batch), headers=BATCH)
    assert response.status_code == 207
    body = response.json()
    assert [result["status"] for result in body["results"]] == [
        *("sent", "refused", "refused", "sent", "refused", "sent", "sent", "sent")
    ]
    assert [result["index"] for result in body["results"]] == list(range(8))
    assert body["results"][1] == {
        "index": 1,
        "id": "batch-8",
        "status": "refused",
        "error": {"field": "data.region", "value": '"XX"', "rule": "an ISO 3166-1 alpha-2 country code"},
    }
    assert body["results"][4]["id"] == "no-event"
    assert body["results"][6] == {"index": 6, "id": "batch-2", "status": "sent", "duplicate": True}
    found = await of_user(shared_localcloud, "batch")
    assert [event.id for _, _, event in found] == [f"batch-{number}" for number in range(4)]
    assert body["position"][str(found[-1][0])] >= found[-1][1]


async def test_no_bytes_bring_anything_but_a_refusal(http: httpx.AsyncClient) -> None:
    for name, body in BAD_RECORDS.items():
        for path, headers in (("/v1/events", ONE), ("/v1/events", BATCH), ("/v1/songs/song-1/plays", {})):
            if name in ("JSON array", "nested too deep") and headers is BATCH:
                continue  # a batch of one, and it has its result
            response = await http.post(path, content=body, headers=headers)
            assert response.status_code in (400, 413), f"{name} at {path}: {response.text}"
            assert "`" not in response.text
        response = await http.put("/v1/users/ana/now-playing", content=body)
        assert response.status_code == 400, f"{name}: {response.text}"


async def test_a_bad_event_of_a_batch_costs_no_other(http: httpx.AsyncClient, shared_localcloud: LocalCloud) -> None:
    """Also one that is not UTF-8 or nests too deep: as long as the batch is an array, each item has its own result."""
    bad = [
        body
        for name, body in BAD_RECORDS.items()
        if name.startswith(
            ("byte that", "cut sequence", "not UTF-8", "nested", "user", "song", "time", "upload", "Latin")
        )
    ]
    good = [played("beside", number) for number in range(len(bad) + 1)]
    items = [json.dumps(good[0]).encode()]
    for number, body in enumerate(bad, start=1):
        items += [body, json.dumps(good[number]).encode()]
    response = await http.post("/v1/events", content=b"[" + b",".join(items) + b"]", headers=BATCH)
    assert response.status_code == 207, response.text
    statuses = [result["status"] for result in response.json()["results"]]
    assert statuses == ["sent", *["refused", "sent"] * len(bad)]
    assert len(bad) > 20
    assert len(await of_user(shared_localcloud, "beside")) == len(good)


async def test_texts_are_clean_in_the_hub(http: httpx.AsyncClient, shared_localcloud: LocalCloud) -> None:
    said = {"title": "One\nTwo\u202e", "artist": "\x1b[31mNova\ud800"[:9], "album": "\0", "device": None}
    event = played("dirty", 1, **said) | {"type": "songline.song.uploaded.v1", "note": "stays"}
    response = await http.post("/v1/events", content=json.dumps(event), headers=ONE)
    assert response.status_code == 200, response.text
    (body,) = [value for events in await read_all(shared_localcloud) for key, value in events if key == b"dirty"]
    written = json.loads(body)
    assert (written["data"]["title"], written["data"]["artist"]) == ("One Two", "[31mNova")
    assert "album" not in written["data"]
    assert written["note"] == "stays"


async def test_an_id_stands_for_one_event(http: httpx.AsyncClient) -> None:
    again = [played("twice", 1), {**played("twice", 1), "time": "2026-01-01T00:00:00Z"}, played("twice", 1, playedMs=2)]
    body = (await http.post("/v1/events", content=json.dumps(again), headers=BATCH)).json()
    assert [result["status"] for result in body["results"]] == ["sent", "sent", "refused"]
    assert body["results"][2]["error"]["field"] == "id"


async def test_plays_and_likes_have_addresses_of_their_own(
    http: httpx.AsyncClient, shared_localcloud: LocalCloud
) -> None:
    play = {"userId": "short", "playedMs": 31_000, "durationMs": 60_000, "region": "SE"}
    key = {"Idempotency-Key": "k-1"}
    answers = [
        await http.post("/v1/songs/song-9/plays", json=play, headers=key),
        await http.post("/v1/songs/song-9/plays", json=play, headers=key),
        await http.put("/v1/users/short/likes/song-9?region=SE"),
        await http.delete("/v1/users/short/likes/song-9"),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert answers[1].json()["duplicate"] is True
    events = [event for _, _, event in await of_user(shared_localcloud, "short")]
    assert [event.data for event in events] == [
        SongPlayed(user_id="short", song_id="song-9", played_ms=31_000, duration_ms=60_000, region="SE"),
        SongLiked(user_id="short", song_id="song-9", region="SE"),
        SongUnliked(user_id="short", song_id="song-9"),
    ]
    told = [answer.json()["id"] for answer in answers]
    assert [told[0], *told[2:]] == [event.id for event in events]


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status", "said"),
    [
        ("POST", "/v1/events", {"content-type": "application/json"}, b"{}", 415, "application/cloudevents+json"),
        ("POST", "/v1/events", ONE, b"{", 400, "event: saw {, expected one JSON object"),
        ("POST", "/v1/events", ONE, b" " * 10_241, 413, "expected at most 10240"),
        ("POST", "/v1/events", BATCH, b"{}", 400, "a JSON array of events"),
        ("POST", "/v1/events", BATCH, b"[]", 400, "1 to 1000 events"),
        ("POST", "/v1/events", BATCH, b"[" + b"1," * 1_000 + b"1]", 400, "saw 1001 events"),
        ("POST", "/v1/events", BATCH, b"[" * 100_000, 400, "a JSON array of events"),
        ("POST", "/v1/events", BATCH, b" " * 10_242_003, 413, "1000 events a batch"),
        (
            "POST",
            "/v1/songs/s/plays",
            {},
            b'{"userId":"u","playedMs":-1,"durationMs":1,"region":"DE"}',
            400,
            "playedMs",
        ),
        ("POST", "/v1/songs/s/plays", {}, b'{"playedMs":1,"durationMs":1,"region":"DE"}', 400, "data.userId"),
        ("POST", "/v1/songs/s/plays", {}, b"[]", 400, "one JSON object"),
        ("POST", "/v1/songs/a%20b/plays", {}, b'{"userId":"u"}', 400, "data."),
        ("PUT", "/v1/users/u%0a/likes/s", {}, b"", 400, "data.userId"),
        ("DELETE", "/v1/users/u/likes/s?region=XX", {}, b"", 400, "data.region"),
        ("PUT", "/v1/users/u/now-playing", {}, b'{"songId":""}', 400, "songId"),
        ("PUT", "/v1/users/u/now-playing", {}, b" " * 2_000, 400, "at most 1024 bytes"),
    ],
)
async def test_what_cannot_be_taken_says_why(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], content: bytes, status: int, said: str
) -> None:
    response = await http.request(method, path, headers=headers, content=content)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert said in response.json()["detail"]


async def test_without_the_hub_events_are_kept_and_said_to_have_no_position(
    start_localcloud: Callable[..., LocalCloud], tmp_path: Path
) -> None:
    cloud = start_localcloud()
    cloud.kill()
    # The issuer is away with the rest, and an API that has not read its keys yet knows nobody.
    environment = {**cloud.environment, AUTH: "off", OUTBOX: str(tmp_path / "outbox.db")}
    api = ApiProcess(environment, tmp_path / "api.log").start()
    try:
        async with api.client() as http:
            batch = [played("away", number) for number in range(300)]
            response = await http.post("/v1/events", content=json.dumps(batch), headers=BATCH)
            assert response.status_code == 202
            assert response.json().keys() == {"results"}
            assert {result["status"] for result in response.json()["results"]} == {"kept"}
            health = (await http.get("/health/events")).json()
            assert (health["outbox_events"], health["buffered"], health["sent"]) == (300, 300, 0)
            assert health["outbox_age_s"] > 0
            told = await http.put("/v1/users/away/now-playing", json={"songId": "song-1"})
            assert (told.status_code, told.headers["retry-after"]) == (503, "2")
            cloud.start()

            async def is_sent() -> bool:
                return bool((await http.get("/health/events")).json()["sent"] == 300)

            await wait_for_async(is_sent, "what was kept to be sent")
        found = await of_user(cloud, "away")
        assert [event.id for _, _, event in found] == [f"away-{number}" for number in range(300)]
    finally:
        api.kill()
