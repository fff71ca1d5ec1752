"""Items, one and many, through the synchronous SDK."""

import threading
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)
from azure.cosmos.partition_key import NullPartitionKeyValue

from localcloud.testing.waiting import wait_for
from localcloud_tests.integration.cosmos.conftest import CreateContainer

SYSTEM = {"_rid", "_self", "_etag", "_attachments", "_ts"}


def own(item: Any) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in SYSTEM}


def charge_of(container: ContainerProxy) -> float:
    return float(container.client_connection.last_response_headers["x-ms-request-charge"])


def test_an_item_comes_back_as_it_went(container: ContainerProxy) -> None:
    item = {"id": "ünï 7", "pk": "a", "n": [1, 2.5, -3, 1e300, 2**53, True, None], "deep": {'é\n"': {"": "😀"}}}
    created = container.create_item(item)
    assert own(created) == item
    assert set(created) - set(item) == SYSTEM
    assert container.read_item("ünï 7", "a") == created
    assert created["_self"].startswith(container.read()["_self"] + "docs/")


@pytest.mark.parametrize("key", ["a", 1, 1.5, True, False, None])
def test_partition_keys_of_every_type(container: ContainerProxy, key: Any) -> None:
    container.create_item({"id": "1", "pk": key})
    assert container.read_item("1", key)["pk"] == key
    of_key = NullPartitionKeyValue if key is None else key
    assert len(list(container.query_items("SELECT * FROM c", partition_key=of_key))) == 1


def test_the_same_id_in_two_partitions_is_two_items(container: ContainerProxy) -> None:
    container.create_item({"id": "1", "pk": "a"})
    container.create_item({"id": "1", "pk": "b"})
    with pytest.raises(CosmosResourceExistsError):
        container.create_item({"id": "1", "pk": "a"})
    container.delete_item("1", "a")
    assert container.read_item("1", "b")["pk"] == "b"
    with pytest.raises(CosmosResourceNotFoundError):
        container.read_item("1", "a")


def test_upsert_replace_and_delete(container: ContainerProxy) -> None:
    first = container.upsert_item({"id": "1", "pk": "a", "n": 1, "old": True})
    second = container.upsert_item({"id": "1", "pk": "a", "n": 2})
    assert own(second) == {"id": "1", "pk": "a", "n": 2}
    assert second["_rid"] == first["_rid"]
    assert second["_etag"] != first["_etag"]
    assert container.replace_item("1", {"id": "1", "pk": "a", "n": 3})["n"] == 3
    container.delete_item("1", "a")
    for act in (
        lambda: container.delete_item("1", "a"),
        lambda: container.replace_item("1", {"id": "1", "pk": "a"}),
        lambda: container.patch_item("1", "a", [{"op": "set", "path": "/n", "value": 1}]),
    ):
        with pytest.raises(CosmosResourceNotFoundError):
            act()


def test_etags_guard_writes(container: ContainerProxy) -> None:
    item = container.create_item({"id": "1", "pk": "a", "n": 0})
    stale = {"etag": item["_etag"], "match_condition": MatchConditions.IfNotModified}
    container.replace_item("1", {**own(item), "n": 1}, **stale)
    for act in (
        lambda: container.replace_item("1", own(item), **stale),
        lambda: container.upsert_item(own(item), **stale),
        lambda: container.delete_item("1", "a", **stale),
        lambda: container.patch_item("1", "a", [{"op": "set", "path": "/n", "value": 1}], **stale),
        lambda: container.upsert_item(own(item), match_condition=MatchConditions.IfMissing),
    ):
        with pytest.raises(CosmosAccessConditionFailedError):
            act()
    assert container.read_item("1", "a")["n"] == 1
    assert container.upsert_item({"id": "2", "pk": "a"}, **stale)["id"] == "2"


def test_a_read_of_what_the_client_has_says_not_modified(container: ContainerProxy) -> None:
    item = container.create_item({"id": "1", "pk": "a"})
    statuses: list[dict[str, Any]] = []
    same = container.read_item(
        "1",
        "a",
        etag=item["_etag"],
        match_condition=MatchConditions.IfModified,
        response_hook=lambda headers, body: statuses.append(body),
    )
    assert not same


def test_of_two_replaces_under_one_etag_exactly_one_wins(container: ContainerProxy) -> None:
    for round_ in range(5):
        item = container.upsert_item({"id": "1", "pk": "a", "by": None})
        outcomes: list[str] = []
        start = threading.Barrier(4)

        def replace(
            who: int, item: Any = item, outcomes: list[str] = outcomes, start: threading.Barrier = start
        ) -> None:
            start.wait()
            try:
                container.replace_item(
                    "1", {**own(item), "by": who}, etag=item["_etag"], match_condition=MatchConditions.IfNotModified
                )
                outcomes.append("won")
            except CosmosAccessConditionFailedError:
                outcomes.append("lost")

        threads = [threading.Thread(target=replace, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["lost", "lost", "lost", "won"], round_


@pytest.mark.parametrize(
    ("item", "status"),
    [
        ({"id": "x" * 1024, "pk": "a"}, 400),
        ({"id": 7, "pk": "a"}, 400),
        ({"id": "1", "pk": "a", "ttl": 0}, 400),
        ({"id": "1", "pk": "a", "text": "x" * (2 * 1024 * 1024)}, 413),
    ],
)
def test_what_no_item_may_be(container: ContainerProxy, item: dict[str, Any], status: int) -> None:
    with pytest.raises((CosmosHttpResponseError, TypeError)) as caught:
        container.client_connection.CreateItem(container.container_link, item, {"partitionKey": "a"})
    assert getattr(caught.value, "status_code", status) == status  # the SDK itself finds some of them


def test_an_item_that_is_just_not_too_large(container: ContainerProxy) -> None:
    text = "x" * (2 * 1024 * 1024 - 1000)
    assert container.create_item({"id": "1", "pk": "a", "text": text})["text"] == text


def test_a_partition_key_that_is_not_the_items(container: ContainerProxy) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.client_connection.CreateItem(container.container_link, {"id": "1", "pk": "a"}, {"partitionKey": "b"})
    assert (caught.value.status_code, caught.value.sub_status) == (400, 1001)


def test_no_response_leaves_the_body_out(container: ContainerProxy) -> None:
    assert dict(container.create_item({"id": "1", "pk": "a"}, no_response=True)) == {}
    assert dict(container.upsert_item({"id": "1", "pk": "a", "n": 1}, no_response=True)) == {}
    assert container.read_item("1", "a")["n"] == 1


def test_patch(container: ContainerProxy) -> None:
    container.create_item({"id": "1", "pk": "a", "n": 1, "list": [1]})
    operations: list[dict[str, Any]] = [
        {"op": "incr", "path": "/n", "value": 2},
        {"op": "add", "path": "/list/-", "value": 2},
        {"op": "set", "path": "/in", "value": {"x": 1}},
        {"op": "move", "from": "/in/x", "path": "/out"},
    ]
    patched = container.patch_item("1", "a", operations, filter_predicate="from c where c.n = 1")
    assert own(patched) == {"id": "1", "pk": "a", "n": 3, "list": [1, 2], "in": {}, "out": 1}
    with pytest.raises(CosmosAccessConditionFailedError):
        container.patch_item("1", "a", operations, filter_predicate="from c where c.n = 1")
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.patch_item("1", "a", [{"op": "set", "path": "/pk", "value": "b"}])
    assert caught.value.status_code == 400


def test_a_batch_does_all(container: ContainerProxy) -> None:
    container.create_item({"id": "old", "pk": "a", "n": 1})
    container.create_item({"id": "gone", "pk": "a"})
    results = container.execute_item_batch(
        [
            ("create", ({"id": "new", "pk": "a"},)),
            ("upsert", ({"id": "up", "pk": "a"},)),
            ("replace", ("old", {"id": "old", "pk": "a", "n": 2})),
            (
                "patch",
                ("old", [{"op": "incr", "path": "/n", "value": 5}]),
                {"filter_predicate": "from c where c.n = 2"},
            ),
            ("read", ("old",)),
            ("delete", ("gone",)),
        ],
        "a",
    )
    assert [result["statusCode"] for result in results] == [201, 201, 200, 200, 200, 204]
    assert results[4]["resourceBody"]["n"] == 7
    assert results[3]["eTag"] == results[3]["resourceBody"]["_etag"] == results[4]["eTag"]
    assert {item["id"] for item in container.read_all_items()} == {"new", "up", "old"}


def test_a_batch_does_nothing_when_one_operation_fails(container: ContainerProxy) -> None:
    item = container.create_item({"id": "1", "pk": "a", "n": 1})
    container.replace_item("1", {"id": "1", "pk": "a", "n": 2})
    with pytest.raises(CosmosBatchOperationError) as caught:
        container.execute_item_batch(
            [
                ("create", ({"id": "2", "pk": "a"},)),
                ("replace", ("1", {"id": "1", "pk": "a", "n": 9}), {"if_match_etag": item["_etag"]}),
                ("create", ({"id": "3", "pk": "a"},)),
            ],
            "a",
        )
    assert [result["statusCode"] for result in caught.value.operation_responses] == [424, 412, 424]
    assert (caught.value.error_index, caught.value.status_code) == (1, 412)
    assert [own(item) for item in container.read_all_items()] == [{"id": "1", "pk": "a", "n": 2}]


def test_the_limits_of_a_batch(container: ContainerProxy) -> None:
    creates = [("create", ({"id": str(number), "pk": "a"},)) for number in range(101)]
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.execute_item_batch(creates, "a")
    assert caught.value.status_code == 400
    # Clients tell what is wrong by the service's sentence, with its full stop.
    with pytest.raises(CosmosHttpResponseError, match=r"Batch request has no operations\.") as caught:
        container.execute_item_batch([], "a")
    assert caught.value.status_code == 400
    assert len(container.execute_item_batch(creates[:100], "a")) == 100
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.execute_item_batch(
            [("create", ({"id": f"x{n}", "pk": "a", "t": "x" * 700_000},)) for n in range(3)], "a"
        )
    assert caught.value.status_code == 413


def test_hierarchical_partition_keys(create_container: CreateContainer) -> None:
    container = create_container(["/tenant", "/user", "/session"])
    for tenant in "ab":
        for user in range(3):
            for session in range(2):
                container.create_item({"id": "1", "tenant": tenant, "user": user, "session": str(session)})
    assert container.read_item("1", ["a", 1, "0"])["user"] == 1
    assert len(list(container.query_items("SELECT * FROM c", partition_key=["a"]))) == 6
    assert len(list(container.query_items("SELECT * FROM c", partition_key=["a", 2]))) == 2
    assert len(list(container.query_items("SELECT * FROM c", partition_key=["a", 2, "1"]))) == 1
    counted: list[Any] = list(container.query_items("SELECT VALUE COUNT(1) FROM c", partition_key=["b"]))
    assert counted == [6]
    container.create_item({"id": "2", "tenant": "a", "user": None, "session": None})
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.create_item({"id": "3", "tenant": "a"})  # every part has to be there
    assert (caught.value.status_code, caught.value.sub_status) == (400, 1001)
    assert container.read_item("2", ["a", None, None])["tenant"] == "a"


def test_read_many(container: ContainerProxy) -> None:
    for number in range(30):
        container.create_item({"id": str(number), "pk": f"p{number % 7}"})
    wanted = [(str(number), f"p{number % 7}") for number in (3, 29, 4, 10, 999)]
    assert [item["id"] for item in container.read_items(wanted)] == ["3", "29", "4", "10"]


def test_items_expire(create_container: CreateContainer) -> None:
    container = create_container(default_ttl=-1)
    container.create_item({"id": "stays", "pk": "a"})
    container.create_item({"id": "goes late", "pk": "a", "ttl": 3_600})
    container.create_item({"id": "goes", "pk": "a", "ttl": 1})

    def ids() -> list[str]:
        return [item["id"] for item in container.query_items("SELECT c.id FROM c", partition_key="a")]

    wait_for(lambda: ids() == ["goes late", "stays"], "the item to expire")
    with pytest.raises(CosmosResourceNotFoundError):
        container.read_item("goes", "a")
    assert container.create_item({"id": "goes", "pk": "a"})["id"] == "goes"


def test_unique_keys(create_container: CreateContainer) -> None:
    container = create_container(unique_key_policy={"uniqueKeys": [{"paths": ["/email"]}]})
    container.create_item({"id": "1", "pk": "a", "email": "x"})
    with pytest.raises(CosmosResourceExistsError):
        container.create_item({"id": "2", "pk": "a", "email": "x"})
    container.create_item({"id": "2", "pk": "b", "email": "x"})
    container.replace_item("1", {"id": "1", "pk": "a", "email": "y"})
    container.create_item({"id": "3", "pk": "a", "email": "x"})
    container.delete_item("3", "a")
    container.create_item({"id": "4", "pk": "a", "email": "x"})


def test_charges_follow_the_model(create_container: CreateContainer) -> None:
    plain = create_container(indexing_policy={"indexingMode": "none", "automatic": False})
    plain.create_item({"id": "1", "pk": "a", "text": "x" * 800})
    insert = charge_of(plain)
    plain.replace_item("1", {"id": "1", "pk": "a", "text": "x" * 800})
    replace = charge_of(plain)
    plain.read_item("1", "a")
    read = charge_of(plain)
    assert insert == pytest.approx(5.5, abs=0.5)
    assert replace == pytest.approx(2 * insert, rel=0.01)
    assert read == pytest.approx(1.0, abs=0.05)
    indexed = create_container()
    indexed.create_item({"id": "1", "pk": "a", "text": "x" * 800})
    assert charge_of(indexed) > insert


def test_delete_all_of_a_partition_key(container: ContainerProxy) -> None:
    for number in range(5):
        container.create_item({"id": str(number), "pk": f"p{number % 2}"})
    container.delete_all_items_by_partition_key("p0")
    assert {item["id"] for item in container.read_all_items()} == {"1", "3"}


def test_a_wrong_key_is_refused(shared_localcloud: Any) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        CosmosClient(shared_localcloud.cosmos_endpoint, "AAAA").create_database("no")
    assert caught.value.status_code == 401


def test_a_container_created_anew_is_noticed(container: ContainerProxy, database: Any) -> None:
    container.create_item({"id": "1", "pk": "a"})
    database.delete_container(container.id)
    with pytest.raises(CosmosResourceNotFoundError):
        container.create_item({"id": "2", "pk": "a"})
    database.create_container(container.id, PartitionKey("/pk"))
    container.create_item({"id": "3", "pk": "a"})
    assert [item["id"] for item in container.read_all_items()] == ["3"]


def test_an_item_is_found_by_its_resource_id(container: ContainerProxy) -> None:
    created = container.create_item({"id": "a", "pk": "p"})
    assert container.read_item(created, "p")["id"] == "a"
    assert container.replace_item(created, {"id": "a", "pk": "p", "n": 1})["n"] == 1
    container.delete_item(created, "p")
    with pytest.raises(CosmosResourceNotFoundError):
        container.read_item(created, "p")


def test_a_replace_may_give_an_item_another_id_that_is_free(container: ContainerProxy) -> None:
    created = container.create_item({"id": "old", "pk": "p"})
    container.create_item({"id": "taken", "pk": "p"})
    with pytest.raises(CosmosResourceExistsError):
        container.replace_item("old", {"id": "taken", "pk": "p"})
    renamed = container.replace_item("old", {"id": "new", "pk": "p"})
    assert (renamed["id"], renamed["_rid"]) == ("new", created["_rid"])
    assert sorted(item["id"] for item in container.read_all_items()) == ["new", "taken"]


def test_an_operation_of_a_batch_for_another_partition_fails_by_itself(container: ContainerProxy) -> None:
    batch = [("create", ({"id": "a", "pk": "p"},)), ("create", ({"id": "b", "pk": "other"},))]
    with pytest.raises(CosmosBatchOperationError) as caught:
        container.execute_item_batch(batch, partition_key="p")
    assert [result["statusCode"] for result in caught.value.operation_responses] == [424, 400]
    assert list(container.read_all_items()) == []


@pytest.mark.parametrize("ttl", [0, None, -10, "1"])
def test_a_time_to_live_that_is_none_is_refused(container: ContainerProxy, ttl: object) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.create_item({"id": "a", "pk": "p", "ttl": ttl})
    assert caught.value.status_code == 400


def test_a_document_is_checked_before_its_id(container: ContainerProxy) -> None:
    deep: Any = "x"
    for _ in range(130):
        deep = [deep]
    container.create_item({"id": "a", "pk": "p"})
    for bad in ({"ttl": 0}, {"deep": deep}):
        for write in (container.create_item, container.upsert_item):
            with pytest.raises(CosmosHttpResponseError) as caught:
                write({"id": "a", "pk": "p"} | bad)
            assert caught.value.status_code == 400
        with pytest.raises(CosmosHttpResponseError) as caught:
            container.replace_item("missing", {"id": "missing", "pk": "p"} | bad)
        assert caught.value.status_code == 400
    with pytest.raises(CosmosResourceExistsError):
        container.create_item({"id": "a", "pk": "p"})


def test_a_batch_checks_its_documents_before_their_ids(container: ContainerProxy) -> None:
    deep: Any = "x"
    for _ in range(130):
        deep = [deep]
    container.create_item({"id": "a", "pk": "p"})
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.execute_item_batch([("create", ({"id": "a", "pk": "p", "deep": deep},))], "p")
    assert caught.value.status_code == 400
