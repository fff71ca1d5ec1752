"""The read API's answers to requests that need no store: pages, documents, refusals."""

import json
import re
from typing import Any

import httpx
import jsonschema
import msgspec
import pytest

from songline.projections.http.numbers import WHOLE_RULE
from songline.schemas import jsonschema as published
from songline.schemas.documents import Chart
from songline.schemas.genres import GENRE_RULE
from songline.schemas.progress_report import NotReadyCause, ProgressReport
from songline.schemas.regions import REGIONS


async def problem(api: httpx.AsyncClient, path: str, status: int, **params: str) -> dict[str, Any]:
    response = await api.get(path, params=params)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    return body


@pytest.mark.parametrize(
    ("path", "status", "params", "faults"),
    [
        ("/v1/charts/tops/1h", 404, {}, [("kind", '"tops"', "one of 'top' or 'trending'")]),
        ("/v1/charts/top/2h", 404, {}, [("window", '"2h"', "one of '5m', '1h', '24h' or '7d'")]),
        ("/v1/songs", 400, {"limit": "101"}, [("limit", '"101"', "less than or equal to 100")]),
        ("/v1/songs", 400, {"cursor": "nonsense"}, [("cursor", '"nonsense"', "`next` of the page before")]),
        ("/v1/songs", 400, {"cursor": "é"}, [("cursor", '"é"', "`next` of the page before")]),
        ("/v1/songs", 400, {"genre": "!!!"}, [("genre", '"!!!"', GENRE_RULE)]),
        ("/v1/songs", 400, {"artist": "a" * 301}, [("artist", '"' + "a" * 98 + "…", "at most 300 characters")]),
        ("/v1/songs", 400, {"q": " "}, [("q", '" "', "1 to 8 words")]),
        ("/v1/songs", 400, {"q": "a b c d e f g h i"}, [("q", '"a b c d e f g h i"', "1 to 8 words")]),
        ("/v1/charts/top/1h", 400, {"limit": "0"}, [("limit", '"0"', "greater than or equal to 1")]),
        ("/v1/charts/top/1h", 400, {"limit": "101"}, [("limit", '"101"', "less than or equal to 100")]),
        (
            "/v1/charts/top/1h",
            400,
            {"limit": "ten"},
            [("limit", '"ten"', WHOLE_RULE)],
        ),
        (
            "/v1/charts/top/1h",
            400,
            {"scope": "region:de"},
            [
                (
                    "scope",
                    '"region:de"',
                    "global, region:XX (an ISO 3166-1 alpha-2 code) or genre:name (one genre, of any script)",
                )
            ],
        ),
    ],
)
async def test_a_refusal_names_what_was_seen_and_what_is_expected(
    api: httpx.AsyncClient, path: str, status: int, params: dict[str, str], faults: list[tuple[str, str, str]]
) -> None:
    body = await problem(api, path, status, **params)
    assert [(fault["field"], fault["value"], fault["rule"]) for fault in body["errors"]] == faults
    assert all(f"{field}: saw {value}, expected {rule}" in body["detail"] for field, value, rule in faults)


@pytest.mark.parametrize("path", ["/v1/songs/@progress", "/v1/songs/a%20b/audio", "/v1/ingestions/a%0A"])
async def test_what_can_be_no_id_is_not_there(api: httpx.AsyncClient, path: str) -> None:
    assert "expected" in (await problem(api, path, 404))["detail"]


async def test_openapi_says_what_songs_sound_and_streams_answer(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()

    def answers(path: str) -> dict[str, list[str]]:
        found = document["paths"][path]["get"]["responses"]
        return {status: list(answer.get("content", {})) for status, answer in found.items()}

    assert answers("/v1/songs/{song_id}/audio") == {
        "200": ["audio/*"],
        "206": ["audio/*"],
        "304": [],
        **{status: ["application/problem+json"] for status in ("400", "404", "410", "416", "429", "503")},
    }
    assert answers("/v1/ingestions/{ingestion_id}/events")["200"] == ["text/event-stream"]
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert references <= document["components"]["schemas"].keys()


async def test_a_long_value_is_shown_cut(api: httpx.AsyncClient) -> None:
    body = await problem(api, "/v1/charts/top/1h", 400, scope="x" * 500)
    assert len(body["errors"][0]["value"]) == 100


async def test_an_unknown_path_is_a_problem_too(api: httpx.AsyncClient) -> None:
    assert "/v2/charts" in (await problem(api, "/v2/charts", 404))["detail"]


async def test_a_method_that_is_not_there_says_which_are(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/charts/top/1h")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/charts/top/1h",
        "/v1/charts/top/1h?scope=region:DE",
        "/v1/songs",
        "/v1/songs/song-1",
        "/v1/songs/song-1/audio",
        "/v1/songs/song-1/plays",
        "/v1/ingestions/i-1",
        "/v1/ingestions/i-1/events",
        "/health/ready",
    ],
)
async def test_a_store_that_cannot_be_reached_is_503_with_a_time_to_come_back(
    api: httpx.AsyncClient, path: str
) -> None:
    response = await api.get(path)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert "Cosmos DB can't be reached" in response.json()["detail"]


async def test_it_lives_without_a_store_and_says_why_it_is_not_ready(api: httpx.AsyncClient) -> None:
    assert (await api.get("/health/live")).json() == {"status": "live"}
    report = msgspec.json.decode((await api.get("/health/progress")).content, type=ProgressReport)
    (reason,) = report.reasons
    assert reason.cause is NotReadyCause.SERVICE_AWAY
    assert "Cosmos DB can't be reached" in reason.sentence
    for path, status in (("live", 200), ("ready", 503), ("progress", 200)):
        assert (await api.head(f"/health/{path}")).status_code == status


async def test_the_index_says_what_can_be_asked_for(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/charts")
    body = response.json()
    assert body["kinds"] == ["top", "trending"]
    assert body["windows"] == ["5m", "1h", "24h", "7d"]
    assert set(body["regions"]) == REGIONS
    again = await api.get("/v1/charts", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/events"])
async def test_a_page_asks_no_other_host_and_has_its_files(api: httpx.AsyncClient, path: str) -> None:
    page = (await api.get(path)).text
    assert not re.findall(r"https?://", page)
    for asset in re.findall(r'(?:src|href)="(/assets/[^"]+|/docs/assets/[^"]+)"', page):
        assert (await api.get(asset)).status_code == 200


async def test_the_docs_ask_no_other_hosts_validator(api: httpx.AsyncClient) -> None:
    assert "validatorUrl: null" in (await api.get("/docs/assets/start.js")).text


async def test_openapi_carries_the_published_chart_and_its_example(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    assert document["paths"].keys() == {
        "/v1/charts",
        "/v1/charts/{kind}/{window}",
        "/v1/charts/{kind}/{window}/history",
        "/v1/live",
        "/v1/songs",
        "/v1/songs/{song_id}",
        "/v1/songs/{song_id}/audio",
        "/v1/songs/{song_id}/history",
        "/v1/songs/{song_id}/plays",
        "/v1/ingestions",
        "/v1/deadletters",
        "/v1/parked",
        "/v1/ingestions/{ingestion_id}",
        "/v1/ingestions/{ingestion_id}/events",
        "/v1/users/{user_id}/library",
        "/v1/users/{user_id}/recent",
        "/v1/users/{user_id}/summary",
        "/v1/users/{user_id}/imports",
        "/v1/matches",
        "/v1/matches/{name}",
        "/v1/imports/{import_id}",
    }
    operation = document["paths"]["/v1/charts/{kind}/{window}"]["get"]
    assert operation["responses"].keys() == {"200", "304", "400", "404", "406", "429", "501", "503"}
    answer = operation["responses"]["200"]["content"]["application/json"]
    # A reference into the document, resolved by hanging the document's components under the reference.
    jsonschema.Draft202012Validator({**answer["schema"], "components": document["components"]}).validate(
        answer["example"]
    )
    chart = document["components"]["schemas"]["Chart"]
    assert chart["properties"].keys() == published.document_schema("chart", Chart)["properties"].keys()
    assert json.dumps(document).count("ValidationError") == 0
