"""Queries within a partition and across, pages, and the change feed, through both SDKs."""

import collections
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, DatabaseProxy, PartitionKey
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from localcloud.testing import LocalCloudProcess
from localcloud_tests.support.cosmos import CosmosRequests

USERS, SONGS = 12, 6
ALL: list[dict[str, Any]] = [
    {
        "id": f"song:{song}",
        "pk": f"user-{user}",
        "plays": (user * 7 + song * 13) % 50,
        "genre": ["rock", "jazz", "pop"][song % 3],
        "tags": [f"t{n}" for n in range(song % 3)],
        **({"liked": user % 2 == 0} if song else {}),
    }
    for user in range(USERS)
    for song in range(SONGS)
]


@pytest.fixture(scope="module")
def songs(create_container: Callable[..., ContainerProxy]) -> ContainerProxy:
    """For all tests, which only read it."""
    ascending, descending = {"order": "ascending"}, {"order": "descending"}
    composites = [
        [{"path": "/genre", **ascending}, {"path": "/plays", **descending}],
        [{"path": "/liked", **ascending}, {"path": "/id", **ascending}],
        [{"path": "/liked", **ascending}, {"path": "/plays", **descending}],
    ]
    container = create_container(indexing_policy={"includedPaths": [{"path": "/*"}], "compositeIndexes": composites})
    for item in ALL:
        container.create_item(item)
    return container


def within(container: ContainerProxy, text: str, **options: Any) -> list[Any]:
    return list(container.query_items(text, **options))


def across(container: ContainerProxy, text: str, **options: Any) -> list[Any]:
    return list(container.query_items(text, enable_cross_partition_query=True, **options))


def test_across_partitions(songs: ContainerProxy) -> None:
    plays = sorted((item["plays"] for item in ALL), reverse=True)
    key = lambda item: (item["pk"], item["id"])  # noqa: E731
    assert sorted(map(key, across(songs, "SELECT * FROM c"))) == sorted(map(key, ALL))
    assert across(songs, "SELECT VALUE c.plays FROM c ORDER BY c.plays DESC") == plays
    assert across(songs, "SELECT VALUE c.plays FROM c ORDER BY c.plays DESC OFFSET 5 LIMIT 10") == plays[5:15]
    assert across(songs, "SELECT TOP 7 VALUE c.plays FROM c ORDER BY c.plays DESC") == plays[:7]
    assert len(across(songs, "SELECT TOP 3 * FROM c")) == 3
    assert len(across(songs, "SELECT * FROM c OFFSET 70 LIMIT 10")) == 2
    assert set(across(songs, "SELECT DISTINCT VALUE c.genre FROM c")) == {"rock", "jazz", "pop"}
    ordered = across(songs, "SELECT c.genre, c.plays FROM c ORDER BY c.genre ASC, c.plays DESC")
    assert ordered == sorted(ordered, key=lambda row: (row["genre"], -row["plays"]))
    assert len(across(songs, "SELECT c.id, t FROM c JOIN t IN c.tags WHERE t = 't1'")) == USERS * 2


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("COUNT(1)", len(ALL)),
        ("COUNT(c.liked)", USERS * (SONGS - 1)),
        ("SUM(c.plays)", sum(item["plays"] for item in ALL)),
        ("AVG(c.plays)", sum(item["plays"] for item in ALL) / len(ALL)),
        ("MIN(c.plays)", min(item["plays"] for item in ALL)),
        ("MAX(c.pk)", "user-9"),
    ],
)
def test_aggregates_across_partitions_and_within(songs: ContainerProxy, aggregate: str, expected: Any) -> None:
    assert across(songs, f"SELECT VALUE {aggregate} FROM c") == [pytest.approx(expected)]
    assert len(within(songs, f"SELECT VALUE {aggregate} FROM c", partition_key="user-1")) == 1


def test_the_metrics_of_a_count_show_no_documents(songs: ContainerProxy) -> None:
    def metrics(text: str) -> dict[str, float]:
        found = songs.query_items(text, partition_key="user-1", populate_query_metrics=True)
        assert list(found) != []
        header = found.get_response_headers()["x-ms-documentdb-query-metrics"]
        return {name: float(value) for name, value in (part.split("=") for part in header.split(";"))}

    counted = metrics("SELECT VALUE COUNT(1) FROM c")
    assert (counted["retrievedDocumentCount"], counted["retrievedDocumentSize"]) == (0, 0)
    assert (counted["outputDocumentCount"], counted["indexUtilizationRatio"]) == (1, 1)
    read = metrics("SELECT * FROM c")
    assert (read["retrievedDocumentCount"], read["outputDocumentCount"], read["indexUtilizationRatio"]) == (6, 6, 1)
    assert metrics("SELECT VALUE COUNT(c.plays) FROM c")["retrievedDocumentCount"] == 6


def test_within_a_partition(songs: ContainerProxy) -> None:
    def of(text: str, **parameters: Any) -> list[Any]:
        given = [{"name": f"@{name}", "value": value} for name, value in parameters.items()]
        return list(songs.query_items(text, partition_key="user-3", parameters=given))

    assert of("SELECT VALUE c.id FROM c WHERE c.plays >= @least ORDER BY c.plays", least=30) == [
        item["id"]
        for item in sorted(ALL, key=lambda item: int(item["plays"]))
        if item["pk"] == "user-3" and item["plays"] >= 30
    ]
    assert of("SELECT c.genre, COUNT(1) AS n FROM c GROUP BY c.genre") == [
        {"genre": genre, "n": 2} for genre in ("rock", "jazz", "pop")
    ]
    assert of("SELECT COUNT(1) AS n, MAX(c.plays) AS most FROM c")[0]["n"] == SONGS
    assert of("SELECT VALUE c.id FROM c ORDER BY c.liked, c.id") == [f"song:{n}" for n in range(SONGS)]
    assert of("SELECT VALUE c.id FROM c WHERE c.id IN ('song:1', 'song:9')") == ["song:1"]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    "text",
    [
        "SELECT VALUE c.id FROM c",
        "SELECT VALUE c.id FROM c WHERE c.plays > 10",
        "SELECT VALUE c.id FROM c ORDER BY c.genre DESC",
        "SELECT VALUE c.id FROM c ORDER BY c.liked, c.plays DESC",
        "SELECT VALUE {i: c.id, t: t} FROM c JOIN t IN c.tags",
        "SELECT DISTINCT VALUE c.genre FROM c",
        "SELECT VALUE c.id FROM c OFFSET 1 LIMIT 4",
        "SELECT TOP 3 VALUE c.id FROM c ORDER BY c.plays",
        "SELECT c.genre, SUM(c.plays) AS n FROM c GROUP BY c.genre",
    ],
)
def test_pages_resume_from_their_tokens(songs: ContainerProxy, text: str, size: int) -> None:
    whole = list(songs.query_items(text, partition_key="user-5"))
    found: list[Any] = []
    token = None
    while True:
        pages: Any = songs.query_items(text, partition_key="user-5", max_item_count=size).by_page(token)
        page = list(next(pages))
        assert len(page) <= size
        found += page
        token = pages.continuation_token
        if token is None:
            break
    assert found == whole


def test_pages_of_an_unordered_query_across_partitions_resume(songs: ContainerProxy) -> None:
    found: list[Any] = []
    token = None
    while True:
        pages: Any = songs.query_items("SELECT * FROM c", enable_cross_partition_query=True, max_item_count=7).by_page(
            token
        )
        found += list(next(pages))
        token = pages.continuation_token
        if token is None:
            break
    counts = collections.Counter((item["pk"], item["id"]) for item in found)
    assert len(counts) == len(ALL)
    assert set(counts.values()) == {1}


def test_a_page_is_not_disturbed_by_writes_before_it(container: ContainerProxy) -> None:
    for number in range(0, 20, 2):
        container.create_item({"id": f"{number:02}", "pk": "a", "n": number})
    text = "SELECT VALUE c.n FROM c ORDER BY c.n"
    pages: Any = container.query_items(text, partition_key="a", max_item_count=5).by_page()
    first = list(next(pages))
    container.create_item({"id": "01", "pk": "a", "n": 1})
    container.delete_item("04", "a")
    rest = container.query_items(text, partition_key="a").by_page(pages.continuation_token)
    found: list[Any] = first + [n for page in rest for n in page]
    assert found == list(range(0, 20, 2))


def test_a_pinned_partition_key_needs_no_consent(songs: ContainerProxy) -> None:
    text = "SELECT VALUE c.id FROM c WHERE c.pk = 'user-2' ORDER BY c.id"
    assert within(songs, text) == [f"song:{n}" for n in range(SONGS)]
    with pytest.raises(CosmosHttpResponseError) as caught:
        list(songs.query_items("SELECT * FROM c"))
    assert caught.value.status_code == 400


@pytest.mark.parametrize("consent", [True, False])
def test_an_aggregate_needs_its_partition_key_outside_of_the_text(songs: ContainerProxy, consent: bool) -> None:
    """As at the service: the filter's partition key does not make one range answer, and the client has to combine."""
    of_user = "FROM c WHERE c.pk = 'user-2'"
    options: dict[str, Any] = {"enable_cross_partition_query": True} if consent else {}
    assert within(songs, f"SELECT VALUE COUNT(1) {of_user}", **options) == [SONGS]
    for text in (f"SELECT COUNT(1) AS n {of_user}", f"SELECT c.genre, COUNT(1) AS n {of_user} GROUP BY c.genre"):
        with pytest.raises(CosmosHttpResponseError) as caught:
            within(songs, text, **options)
        assert caught.value.status_code == 400
        assert within(songs, text, partition_key="user-2")


def test_the_gateway_answers_what_needs_the_client_with_the_plan(
    shared_localcloud: LocalCloudProcess, songs: ContainerProxy
) -> None:
    consent = {"x-ms-documentdb-query-enablecrosspartition": "true"}
    pinned = " WHERE c.pk = 'user-2'"
    with CosmosRequests(shared_localcloud, songs.container_link) as requests:
        for text in (
            "SELECT VALUE COUNT(1) FROM c",
            "SELECT VALUE SUM(c.plays) FROM c" + pinned,
            "SELECT MAX(c.plays) AS most FROM c" + pinned,
            "SELECT * FROM c ORDER BY c.plays",
            "SELECT DISTINCT c.genre FROM c",
            "SELECT TOP 1 * FROM c",
            "SELECT * FROM c OFFSET 1 LIMIT 1",
        ):
            refused = requests.query(text, consent)
            assert (refused.status, refused.headers["x-ms-substatus"]) == (400, "1004")
            assert "queryInfo" in json.loads(json.loads(refused.body)["additionalErrorInfo"])
            assert requests.query(text, {"x-ms-documentdb-partitionkey": '["user-2"]'}).status == 200
            assert requests.query(text, {"x-ms-documentdb-partitionkeyrangeid": "0"}).status == 200
        for text in ("SELECT VALUE COUNT(1) FROM c", "SELECT * FROM c"):
            refused = requests.query(text, {})
            assert (refused.status, "x-ms-substatus" in refused.headers) == (400, False)


def test_only_indexed_paths_are_sorted_by(create_container: Callable[..., ContainerProxy]) -> None:
    policy = {
        "includedPaths": [{"path": "/plays/?"}, {"path": "/deep/rank/?"}],
        "excludedPaths": [{"path": "/*"}],
        "compositeIndexes": [[{"path": "/genre", "order": "ascending"}, {"path": "/plays", "order": "descending"}]],
    }
    container = create_container(indexing_policy=policy)
    for number in range(4):
        rank = {"rank": number, "size": number}
        container.create_item({"id": str(number), "pk": "p", "plays": -number, "genre": "a", "deep": rank})
    for order in ("c.plays DESC", "c.deep.rank", "c.id", "c._ts", "c.genre ASC, c.plays DESC"):
        for found in (
            within(container, f"SELECT VALUE c.id FROM c ORDER BY {order}", partition_key="p"),
            across(container, f"SELECT VALUE c.id FROM c ORDER BY {order}"),
        ):
            assert found == ["0", "1", "2", "3"]
    for order in ("c.genre", "c.deep.size", "c.deep", "c.genre, c.plays", "c['missing']"):
        for options in ({"partition_key": "p"}, {"enable_cross_partition_query": True}):
            with pytest.raises(CosmosHttpResponseError) as caught:
                within(container, f"SELECT * FROM c ORDER BY {order}", **options)
            assert (caught.value.status_code, "order-by item is excluded" in str(caught.value)) == (400, True)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("c.plays, c.genre", "composite index"),
        ("c.genre, c.plays", "composite index"),
        ("c.genre DESC, c.plays DESC", "composite index"),
        ("LOWER(c.genre)", "could not be mapped to a document path"),
        ("c.plays * 2", "could not be mapped to a document path"),
        ("t", "correlated collections"),
    ],
)
def test_what_no_index_serves_is_not_sorted_by(songs: ContainerProxy, order: str, said: str) -> None:
    text = f"SELECT c.id FROM c JOIN t IN c.tags ORDER BY {order}"
    for options in ({"partition_key": "user-1"}, {"enable_cross_partition_query": True}):
        with pytest.raises(CosmosHttpResponseError) as caught:
            within(songs, text, **options)
        assert (caught.value.status_code, said in str(caught.value)) == (400, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT * FRO c", "column 10"),
        ("SELECT * FROM c WHERE c.x = @x", "@x"),
        ("SELECT VALUE nope(1) FROM c", "NOPE"),
    ],
)
def test_bad_queries_say_why(songs: ContainerProxy, text: str, said: str) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        list(songs.query_items(text, partition_key="user-1"))
    assert caught.value.status_code == 400
    assert said in str(caught.value)


def test_a_token_of_another_query_is_refused(songs: ContainerProxy) -> None:
    pages: Any = songs.query_items("SELECT * FROM c", partition_key="user-1", max_item_count=1).by_page()
    next(pages)
    with pytest.raises(CosmosHttpResponseError) as caught:
        next(songs.query_items("SELECT c.id FROM c", partition_key="user-1").by_page(pages.continuation_token))
    assert caught.value.status_code == 400


def test_a_query_that_looks_at_more_costs_more(songs: ContainerProxy) -> None:
    def charge(text: str, **options: Any) -> float:
        list(songs.query_items(text, **options))
        return float(songs.client_connection.last_response_headers["x-ms-request-charge"])

    point = charge("SELECT * FROM c WHERE c.id = 'song:1'", partition_key="user-1")
    partition = charge("SELECT * FROM c", partition_key="user-1")
    everything = charge("SELECT * FROM c", enable_cross_partition_query=True)
    assert 2 < point < partition < everything


def test_the_change_feed(container: ContainerProxy) -> None:
    for number in range(10):
        container.create_item({"id": str(number), "pk": f"p{number}"})

    def read(**options: Any) -> tuple[list[str], str]:
        pages: Any = container.query_items_change_feed(**options)
        ids = [item["id"] for item in pages]
        return ids, container.client_connection.last_response_headers["etag"]

    ids, token = read(start_time="Beginning")
    assert sorted(ids) == [str(number) for number in range(10)]
    assert read(start_time="Now")[0] == []
    container.upsert_item({"id": "3", "pk": "p3", "n": 1})
    container.delete_item("4", "p4")
    container.create_item({"id": "new", "pk": "p3"})
    ids, _ = read(continuation=token)
    assert sorted(ids) == ["3", "new"]
    assert read(start_time="Beginning", partition_key="p3")[0] == ["3", "new"]
    parts = [read(start_time="Beginning", feed_range=part)[0] for part in container.read_feed_ranges()]
    assert sorted(id_ for part in parts for id_ in part) == sorted([*(str(n) for n in range(10) if n != 4), "new"])
    assert read(start_time=datetime.now(UTC) + timedelta(minutes=1))[0] == []
    assert len(read(start_time=datetime.now(UTC) - timedelta(minutes=1))[0]) == 10


async def test_the_asynchronous_sdk(
    songs: ContainerProxy, database: DatabaseProxy, shared_localcloud: LocalCloudProcess
) -> None:
    async with AsyncCosmosClient(shared_localcloud.cosmos_endpoint, shared_localcloud.cosmos_key) as client:
        container = client.get_database_client(database.id).get_container_client(songs.id)
        plays = [n async for n in container.query_items("SELECT VALUE c.plays FROM c ORDER BY c.plays")]
        assert plays == sorted(item["plays"] for item in ALL)
        counted: list[Any] = [n async for n in container.query_items("SELECT VALUE COUNT(1) FROM c")]
        assert counted == [len(ALL)]
        mine = [item async for item in container.query_items("SELECT * FROM c", partition_key="user-1")]
        assert len(mine) == SONGS
        await container.upsert_item({"id": "song:1", "pk": "user-1", "plays": 1000})
        assert (await container.read_item("song:1", "user-1"))["plays"] == 1000
        patched = await container.patch_item("song:1", "user-1", [{"op": "incr", "path": "/plays", "value": 1}])
        assert patched["plays"] == 1001
        await container.execute_item_batch([("delete", ("song:1",)), ("delete", ("song:2",))], "user-1")
        left = [item["id"] async for item in container.query_items("SELECT c.id FROM c", partition_key="user-1")]
        assert len(left) == SONGS - 2
        changed = [item async for item in container.query_items_change_feed(start_time="Beginning")]
        assert len(changed) == len(ALL) - 2
        many = await container.read_items([("song:1", "user-2"), ("song:3", "user-3")])
        assert [item["pk"] for item in many] == ["user-2", "user-3"]


def test_computed_properties_are_seen_by_queries_alone(database: DatabaseProxy) -> None:
    lower = {"name": "lower", "query": "SELECT VALUE LOWER(c.name) FROM c"}
    key = PartitionKey("/pk")
    container = database.create_container("computed", key, computed_properties=[lower])
    container.create_item({"id": "a", "pk": "p", "name": "ANNA"})
    container.create_item({"id": "b", "pk": "p", "name": "Bob"})
    container.create_item({"id": "c", "pk": "p"})
    found: list[Any] = within(container, "SELECT * FROM c WHERE c.lower = 'anna'", partition_key="p")
    assert [(item["id"], "lower" in item) for item in found] == [("a", False)]
    assert across(container, "SELECT VALUE c.lower FROM c ORDER BY c.lower DESC") == ["bob", "anna"]
    assert "lower" not in container.read_item("a", "p")
    with pytest.raises(CosmosHttpResponseError) as caught:
        no_list: Any = lower
        database.replace_container(container, key, computed_properties=no_list)
    assert caught.value.status_code == 400
    database.replace_container(container, key)
    assert within(container, "SELECT * FROM c WHERE c.lower = 'anna'", partition_key="p") == []
