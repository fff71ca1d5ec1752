"""A document that is none of ours, or of another version, takes no other one from the caller."""

import httpx
import pytest
from azure.cosmos.aio import CosmosClient

from songline.cloud import cosmos
from songline.schemas.channels import DATABASE, INGESTIONS, SONGS


@pytest.fixture(autouse=True)
async def odd(database: CosmosClient) -> None:
    for name in (SONGS, INGESTIONS):
        container = cosmos.container(database, DATABASE, name)
        for number in range(3):
            await container.upsert_item(
                {
                    "id": f"odd-{number}",
                    "order": f"2999-01-0{number + 1}T00:00:00 odd",
                    "state": 7,
                    "updatedAt": "2999-01-01T00:00:00Z",
                    "latest": [],
                }
            )


async def test_lists_leave_it_out(songs_api: httpx.AsyncClient) -> None:
    for path, name in (("/v1/songs?limit=1", "songs"), ("/v1/ingestions?limit=1", "ingestions")):
        answer = await songs_api.get(path)
        assert answer.status_code == 200, answer.text
        assert not [one for one in answer.json()[name] if one["id"].startswith("odd-")]


@pytest.mark.parametrize("path", ["/v1/songs/odd-1", "/v1/songs/odd-1/audio", "/v1/ingestions/odd-1"])
async def test_asked_for_itself_it_is_named(songs_api: httpx.AsyncClient, path: str) -> None:
    answer = await songs_api.get(path)
    assert answer.status_code == 503, answer.text
    assert "can't be understood" in answer.json()["detail"]
