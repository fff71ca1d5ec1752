"""Faults and provisioned throughput, through the SDK's own retries and without them."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.cosmos import ContainerProxy, CosmosClient, DatabaseProxy, PartitionKey
from azure.cosmos.aio import CosmosClient as AioClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from localcloud.testing import LocalCloudProcess
from localcloud_tests.integration.cosmos.conftest import CreateContainer

# The SDK takes 0 throttle retries for "by default".
NO_RETRIES: dict[str, Any] = {"retry_total": 0, "retry_throttle_total": -1}


@pytest.fixture(scope="module")
def impatient(shared_localcloud: LocalCloudProcess) -> Iterator[CosmosClient]:
    """A client that tries once."""
    cloud = shared_localcloud
    with CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key, **NO_RETRIES) as client:
        yield client


def same(client: CosmosClient, container: ContainerProxy) -> ContainerProxy:
    """The same container through another client."""
    _, database, _, name = container.container_link.split("/")
    return client.get_database_client(database).get_container_client(name)


def test_throttling_is_waited_out(shared_localcloud: LocalCloudProcess, container: ContainerProxy) -> None:
    rule = {"service": "cosmos", "kind": "throttle", "operation": "upsert", "retry_after_ms": 20, "count": 2}
    with shared_localcloud.faults({**rule, "entity": f"*/{container.id}"}) as fired:
        container.upsert_item({"id": "a", "pk": "p"})
        assert fired() == [2]
    assert container.read_item("a", "p")["id"] == "a"


def test_throttling_surfaces_where_retries_are_off(
    shared_localcloud: LocalCloudProcess, container: ContainerProxy, impatient: CosmosClient
) -> None:
    once = same(impatient, container)
    rule = {"service": "cosmos", "kind": "throttle", "operation": "create", "retry_after_ms": 70, "count": 1}
    with shared_localcloud.faults(rule), pytest.raises(CosmosHttpResponseError) as caught:
        once.create_item({"id": "a", "pk": "p"})
    assert (caught.value.status_code, caught.value.sub_status) == (429, 3200)
    assert caught.value.headers["x-ms-retry-after-ms"] == "70"
    assert list(container.read_all_items()) == []


def test_an_answer_gets_lost_but_not_its_effect(
    shared_localcloud: LocalCloudProcess, container: ContainerProxy, impatient: CosmosClient
) -> None:
    once = same(impatient, container)
    for kind, id_ in (("lose", "kept"), ("drop", "gone")):
        rule = {"service": "cosmos", "kind": kind, "operation": "create"}
        with shared_localcloud.faults(rule), pytest.raises(AzureError):
            once.create_item({"id": id_, "pk": "p"})
    assert [item["id"] for item in container.read_all_items()] == ["kept"]


def test_a_delayed_answer_comes_late(shared_localcloud: LocalCloudProcess, container: ContainerProxy) -> None:
    with shared_localcloud.faults({"service": "cosmos", "kind": "delay", "ms": 120, "operation": "query"}) as fired:
        before = time.monotonic()
        list(container.query_items("SELECT * FROM c", partition_key="p"))
        assert time.monotonic() - before >= 0.12
        assert fired() == [1]


def test_rules_that_make_no_sense_are_refused_by_name(shared_localcloud: LocalCloudProcess) -> None:
    rule = {"service": "cosmos", "kind": "throttle", "count": "twice"}
    with pytest.raises(ValueError, match=r'"field":"\[0\].count","value":"twice","rule":"Expected `int \| null`'):
        shared_localcloud.control("PUT", "/faults", [rule])
    with pytest.raises(ValueError, match="the body"):
        shared_localcloud.control("PUT", "/throttling", {"all": True})


def test_who_spends_more_than_is_provisioned_is_throttled(
    shared_localcloud: LocalCloudProcess,
    database: DatabaseProxy,
    create_container: CreateContainer,
    impatient: CosmosClient,
) -> None:
    container = create_container(offer_throughput=400)
    once = same(impatient, container)
    other = create_container(offer_throughput=400)
    big = {"pk": "p", "text": "x" * 200_000}  # about 100 request units
    with shared_localcloud.throttled(database.id):
        with pytest.raises(CosmosHttpResponseError) as caught:
            for number in range(20):
                once.create_item({"id": str(number), **big})
        assert (caught.value.status_code, caught.value.sub_status) == (429, 3200)
        assert 0 < int(caught.value.headers["x-ms-retry-after-ms"]) < 1000
        other.create_item({"id": "a", "pk": "p"})  # has a budget of its own
        container.upsert_item({"id": "0", **big})  # the SDK waits and gets through
        container.replace_throughput(10_000)
        for number in range(20):
            container.upsert_item({"id": f"more-{number}", "pk": "p"})
    once.create_item({"id": "free", **big})  # and nothing is throttled unless it is asked for


def test_containers_share_what_their_database_has(
    shared_localcloud: LocalCloudProcess, impatient: CosmosClient
) -> None:
    database = impatient.create_database(f"shared-{uuid.uuid4().hex}", offer_throughput=400)
    first, second = (database.create_container(name, PartitionKey("/pk")) for name in ("first", "second"))
    first.create_item({"id": "a", "pk": "p", "text": "x" * 1_900_000})  # about 950 request units
    with shared_localcloud.throttled("shared-*"):
        first.upsert_item({"id": "b", "pk": "p", "text": "x" * 1_900_000})
        with pytest.raises(CosmosHttpResponseError) as caught:
            second.create_item({"id": "c", "pk": "p"})
    assert caught.value.status_code == 429


async def test_the_asyncio_client_waits_too(shared_localcloud: LocalCloudProcess, container: ContainerProxy) -> None:
    cloud = shared_localcloud
    rule = {"service": "cosmos", "kind": "throttle", "retry_after_ms": 10, "count": 3, "entity": f"*/{container.id}"}
    _, database, _, name = container.container_link.split("/")
    async with (
        AioClient(cloud.cosmos_endpoint, cloud.cosmos_key) as patient,
        AioClient(cloud.cosmos_endpoint, cloud.cosmos_key, **NO_RETRIES) as hasty,
    ):
        with cloud.faults(rule) as fired:
            await patient.get_database_client(database).get_container_client(name).create_item({"id": "a", "pk": "p"})
            assert fired() == [3]
        with cloud.faults(rule), pytest.raises(CosmosHttpResponseError) as caught:
            await hasty.get_database_client(database).get_container_client(name).create_item({"id": "b", "pk": "p"})
    assert caught.value.status_code == 429
