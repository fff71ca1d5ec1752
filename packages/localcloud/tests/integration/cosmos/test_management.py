"""Databases, containers and throughput through the SDK."""

from collections.abc import Callable
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, DatabaseProxy, PartitionKey, ThroughputProperties
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceExistsError, CosmosResourceNotFoundError

from localcloud.testing import LocalCloudProcess
from localcloud_tests.integration.cosmos.conftest import CreateContainer
from localcloud_tests.support.cosmos import CosmosRequests

POLICY = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/rank/?"}],
    "excludedPaths": [{"path": "/*"}, {"path": '/"_etag"/?'}],
}


def test_databases(client: CosmosClient) -> None:
    database = client.create_database("one")
    with pytest.raises(CosmosResourceExistsError):
        client.create_database("one")
    assert client.create_database_if_not_exists("one").id == "one"
    assert database.read()["_self"].startswith("dbs/")
    assert "one" in {found["id"] for found in client.list_databases()}
    query = {"query": "SELECT * FROM r WHERE r.id = @id", "parameters": [{"name": "@id", "value": "one"}]}
    assert [found["id"] for found in client.query_databases(**query)] == ["one"]  # type: ignore[arg-type]
    client.delete_database("one")
    with pytest.raises(CosmosResourceNotFoundError):
        database.read()


def test_containers(database: DatabaseProxy) -> None:
    container = database.create_container("kept", PartitionKey("/pk"), indexing_policy=POLICY, default_ttl=60)
    properties = container.read()
    assert properties["indexingPolicy"] == POLICY
    assert (properties["defaultTtl"], properties["partitionKey"]["paths"]) == (60, ["/pk"])
    with pytest.raises(CosmosResourceExistsError):
        database.create_container("kept", PartitionKey("/pk"))
    assert database.create_container_if_not_exists("kept", PartitionKey("/pk")).id == "kept"
    database.replace_container(container, PartitionKey("/pk"), default_ttl=-1)
    assert container.read()["defaultTtl"] == -1
    with pytest.raises(CosmosHttpResponseError) as caught:
        database.replace_container(container, PartitionKey("/other"))
    assert caught.value.status_code == 400
    assert "kept" in {found["id"] for found in database.list_containers()}
    assert [found["id"] for found in database.query_containers("SELECT * FROM c WHERE c.id = 'kept'")] == ["kept"]
    database.delete_container("kept")
    with pytest.raises(CosmosResourceNotFoundError):
        container.read()


@pytest.mark.parametrize(
    "definition",
    [
        {"id": "a/b", "partition_key": PartitionKey("/pk")},
        {"id": "bad", "partition_key": PartitionKey("pk")},
        {"id": "bad", "partition_key": PartitionKey("/pk"), "default_ttl": 0},
        {"id": "bad", "partition_key": PartitionKey("/pk"), "offer_throughput": 123},
        {"id": "bad", "partition_key": PartitionKey("/pk"), "indexing_policy": {"includedPaths": [{"path": "/a"}]}},
    ],
)
def test_bad_containers_are_refused(database: DatabaseProxy, definition: dict[str, Any]) -> None:
    with pytest.raises((CosmosHttpResponseError, ValueError)) as caught:
        database.create_container(**definition)
    assert getattr(caught.value, "status_code", 400) == 400  # the SDK itself finds some of them
    assert "bad" not in {found["id"] for found in database.list_containers()}


def test_throughput(database: DatabaseProxy, client: CosmosClient) -> None:
    container = database.create_container("manual", PartitionKey("/pk"), offer_throughput=700)
    assert container.get_throughput().offer_throughput == 700
    assert container.replace_throughput(900).offer_throughput == 900
    assert container.get_throughput().offer_throughput == 900
    scaled = database.create_container(
        "scaled", PartitionKey("/pk"), offer_throughput=ThroughputProperties(auto_scale_max_throughput=4000)
    )
    assert scaled.get_throughput().auto_scale_max_throughput == 4000
    shared = client.create_database("shared", offer_throughput=500)
    assert shared.get_throughput().offer_throughput == 500
    inside = shared.create_container("inside", PartitionKey("/pk"))
    offered = {offer["resource"] for offer in client.client_connection.ReadOffers()}
    assert shared.read()["_self"] in offered
    assert inside.read()["_self"] not in offered


def test_names_are_of_any_script(client: CosmosClient) -> None:
    database = client.create_database("音楽 ñ")
    container = database.create_container("песни", PartitionKey("/pk"))
    assert container.create_item({"id": "歌", "pk": "p"})["id"] == "歌"
    assert container.read()["id"] == "песни"
    client.delete_database(database)


def test_an_indexing_policy_is_kept_as_the_service_keeps_it(database: DatabaseProxy) -> None:
    given = {"includedPaths": [{"path": "/", "indexes": [{"kind": "Range", "dataType": "Number"}]}]}
    container = database.create_container("policy", PartitionKey("/pk"), indexing_policy=given)
    kept = container.read()["indexingPolicy"]
    assert (kept["includedPaths"], kept["excludedPaths"]) == ([{"path": "/"}], [{"path": '/"_etag"/?'}])


def test_a_container_tells_what_it_holds(create_container: CreateContainer, client: CosmosClient) -> None:
    container = create_container()
    for number in range(8):
        container.create_item({"id": str(number), "pk": number, "text": "x" * 2048})
    properties = container.read(populate_partition_key_range_statistics=True, populate_quota_info=True)
    statistics = properties["statistics"]
    assert (len(statistics), sum(part["documentCount"] for part in statistics)) == (4, 8)
    assert "documentsCount=8;" in client.client_connection.last_response_headers["x-ms-resource-usage"]


def test_a_container_begins_with_as_many_ranges_as_its_throughput_needs(database: DatabaseProxy) -> None:
    for throughput, expected in ((10_000, 1), (10_100, 2), (30_000, 5)):
        container = database.create_container(f"r{throughput}", PartitionKey("/pk"), offer_throughput=throughput)
        assert len(list(container.read_feed_ranges())) == expected


def test_there_are_no_conflicts(container: ContainerProxy) -> None:
    assert list(container.list_conflicts()) == []
    with pytest.raises(CosmosResourceNotFoundError):
        container.get_conflict("any", "p")


def test_ranges_cover_every_key(create_container: CreateContainer) -> None:
    container = create_container()
    for number in range(40):
        container.create_item({"id": str(number), "pk": number})
    ranges = list(container.read_feed_ranges())
    parts = [[item["id"] for item in container.query_items("SELECT c.id FROM c", feed_range=part)] for part in ranges]
    assert len(ranges) == 4
    assert all(parts)
    assert sorted(int(id_) for part in parts for id_ in part) == list(range(40))


@pytest.mark.parametrize(
    "definition",
    [
        {"partition_key": PartitionKey("pk")},
        {"partition_key": PartitionKey(["/a", "/b", "/c", "/d"], kind="MultiHash")},
        {"partition_key": PartitionKey("/pk"), "default_ttl": 0},
        {"partition_key": PartitionKey("/pk"), "offer_throughput": 123},
        {"partition_key": PartitionKey("/pk"), "unique_key_policy": {"uniqueKeys": [{"paths": []}]}},
        {"partition_key": PartitionKey("/pk"), "indexing_policy": {"includedPaths": [{"path": "/a"}]}},
        {"partition_key": PartitionKey("/pk"), "computed_properties": [{"name": "lower", "query": "SELECT"}]},
        {"partition_key": PartitionKey("/pk/*")},
        {"partition_key": PartitionKey("/pk"), "indexing_policy": {"compositeIndexes": [[{"path": "/a"}]]}},
        {"partition_key": PartitionKey("/pk"), "conflict_resolution_policy": {"mode": "Any"}},
        {"partition_key": PartitionKey("/pk"), "analytical_storage_ttl": -2},
    ],
)
def test_a_definition_is_checked_before_the_id(
    database: DatabaseProxy, container: ContainerProxy, definition: dict[str, Any]
) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        database.create_container(container.id, **definition)
    assert caught.value.status_code == 400
    with pytest.raises(CosmosResourceExistsError):
        database.create_container(container.id, PartitionKey("/pk"))


def test_a_replaced_definition_is_checked_before_its_etag(
    shared_localcloud: LocalCloudProcess, container: ContainerProxy
) -> None:
    link = container.container_link
    with CosmosRequests(shared_localcloud, link) as requests:
        for path, status in (("other", 400), ("/other", 400), ("/pk", 412)):
            body = {"id": container.id, "partitionKey": {"paths": [path], "kind": "Hash", "version": 2}}
            assert requests.send("PUT", f"/{link}", "colls", link, {"if-match": '"stale"'}, body).status == status


def test_the_throughput_of_a_database_is_checked_before_its_id(client: CosmosClient, database: DatabaseProxy) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        client.create_database(database.id, offer_throughput=123)
    assert caught.value.status_code == 400


def test_the_bounds_of_ranges(shared_localcloud: LocalCloudProcess, create_container: CreateContainer) -> None:
    container = create_container(offer_throughput=30_000)
    with CosmosRequests(shared_localcloud, container.container_link) as requests:
        bounds = [(found["minInclusive"], found["maxExclusive"]) for found in requests.ranges()]
    inner = [f"{number * (2**126 // 5):032X}" for number in range(1, 5)]
    assert bounds == list(zip(["", *inner], [*inner, "FF"], strict=True))


def test_content_location_names_the_resource(
    shared_localcloud: LocalCloudProcess, client: CosmosClient, database: DatabaseProxy, container: ContainerProxy
) -> None:
    """As in the published samples of the REST reference: in what answers anything but POST."""
    endpoint = shared_localcloud.cosmos_endpoint.rstrip("/")

    def location(method: Callable[[], Any]) -> str | None:
        method()
        found: str | None = container.client_connection.last_response_headers.get("content-location")
        return found and found.rstrip("/")

    link = f"{endpoint}/dbs/{database.id}/colls/{container.id}"
    document = {"id": "a b", "pk": "p"}
    assert location(lambda: container.create_item(document)) is None
    assert location(lambda: container.upsert_item(document)) is None
    assert location(lambda: list(container.query_items("SELECT * FROM c", partition_key="p"))) is None
    assert location(lambda: container.read_item("a b", "p")) == f"{link}/docs/a%20b"
    assert location(lambda: container.replace_item("a b", document)) == f"{link}/docs/a%20b"
    assert location(lambda: list(container.read_all_items())) == f"{link}/docs"
    assert location(container.read) == link
    assert location(database.read) == f"{endpoint}/dbs/{database.id}"
    assert location(lambda: container.delete_item("a b", "p")) == f"{link}/docs/a%20b"
    assert location(client.get_database_account) == endpoint
    missing = f"{container.container_link}/docs/missing"
    with CosmosRequests(shared_localcloud, container.container_link) as requests:
        answer = requests.send("GET", f"/{missing}", "docs", missing, {"x-ms-documentdb-partitionkey": '["p"]'})
    assert (answer.status, "content-location" in answer.headers) == (404, False)


def test_answers_have_the_headers_of_the_reference(client: CosmosClient, container: ContainerProxy) -> None:
    """As "Common Azure Cosmos DB REST response headers" has them, but for `x-ms-resource-quota` and `-usage`, which are
    told to those that ask."""

    def lacks(method: Callable[[], Any], *more: str) -> set[str]:
        method()
        fixed = ("date", "x-ms-activity-id", "x-ms-request-charge", "x-ms-schemaversion", "x-ms-serviceversion")
        return {*fixed, *more} - {name.lower() for name in container.client_connection.last_response_headers}

    document, told = {"id": "a", "pk": "p"}, ("content-type", "etag")
    item = (*told, "x-ms-alt-content-path", "x-ms-session-token")
    page = ("x-ms-item-count", "x-ms-alt-content-path", "x-ms-session-token")
    found = {
        "create": lacks(lambda: container.create_item(document), *item),
        "upsert": lacks(lambda: container.upsert_item(document), *item),
        "replace": lacks(lambda: container.replace_item("a", document), *item),
        "patch": lacks(lambda: container.patch_item("a", "p", [{"op": "add", "path": "/b", "value": 1}]), *item),
        "read": lacks(lambda: container.read_item("a", "p"), *item),
        "query": lacks(
            lambda: list(container.query_items("SELECT * FROM c", partition_key="p")), "content-type", *page
        ),
        "feed": lacks(lambda: list(container.read_all_items()), "content-type", *page),
        "changes": lacks(lambda: list(container.query_items_change_feed(start_time="Beginning")), *page, "etag"),
        "batch": lacks(lambda: container.execute_item_batch([("read", ("a",))], "p"), "content-type", *item[2:]),
        "container": lacks(container.read, *told),
        "databases": lacks(lambda: list(client.list_databases()), "content-type", "x-ms-item-count"),
        "delete": lacks(lambda: container.delete_item("a", "p"), *item[2:]),
    }
    assert found == {request: set() for request in found}


def test_clients_keep_a_session(client: CosmosClient, container: ContainerProxy) -> None:
    """The SDKs send back the session token of a write only to an account whose consistency level is Session."""
    assert client.get_database_account().ConsistencyPolicy == {"defaultConsistencyLevel": "Session"}
    container.create_item({"id": "a", "pk": "p"})
    sent: list[str | None] = []
    hook = lambda request: sent.append(request.http_request.headers.get("x-ms-session-token"))  # noqa: E731
    container.read_item("a", "p", raw_request_hook=hook)
    assert sent == [container.client_connection.last_response_headers["x-ms-session-token"]]
