"""Requests that no SDK would make: each is refused in words, and none breaks the server."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from azure.cosmos import ContainerProxy

from localcloud.testing import LocalCloudProcess
from localcloud_tests.support.cosmos import CosmosAnswer, CosmosRequests

VALUES: list[Any] = [None, 1, "x", [], {}, [1], [None], {"id": 1}, {"id": "1"}, {"id": "1", "pk": {}}]
KEY = {"x-ms-documentdb-partitionkey": '["a"]'}
QUERY = {**KEY, "x-ms-documentdb-isquery": "true"}
BATCH = {**KEY, "x-ms-cosmos-is-batch-request": "true", "x-ms-cosmos-batch-atomic": "true"}


@pytest.fixture
def requests(shared_localcloud: LocalCloudProcess, container: ContainerProxy) -> Iterator[CosmosRequests]:
    with CosmosRequests(shared_localcloud, container.container_link) as requests:
        yield requests


def refused(answer: CosmosAnswer) -> bool:
    return 400 <= answer.status < 500 and {"code", "message"} <= json.loads(answer.body).keys()


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_bodies_of_the_wrong_shape(requests: CosmosRequests, value: Any) -> None:
    assert refused(requests.documents("POST", KEY, value))
    assert refused(requests.documents("PATCH", KEY, value, item="1"))
    assert refused(requests.documents("POST", QUERY, value))
    assert refused(requests.documents("POST", BATCH, value))
    assert refused(requests.documents("POST", BATCH, [value]))
    assert refused(requests.documents("POST", BATCH, [{"operationType": value, "id": value, "resourceBody": value}]))
    assert refused(requests.documents("POST", QUERY, {"query": "SELECT TOP @n * FROM c", "parameters": value}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"{",
        b"[" * 60_000,
        b'{"id":"1","pk":"a","x":NaN}',
        b'{"id":"1","pk":"a","x":' + b"[" * 200 + b"]" * 200 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_bodies_that_are_no_document(requests: CosmosRequests, body: bytes) -> None:
    assert refused(requests.documents("POST", KEY, body))
    assert requests.documents("GET", KEY).status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-ms-documentdb-partitionkey", "a"),
        ("x-ms-documentdb-partitionkey", '["a", "b"]'),
        ("x-ms-max-item-count", "many"),
        ("x-ms-max-item-count", "9" * 30),
        ("x-ms-continuation", "bm8="),
        ("x-ms-continuation", base64.b64encode(b'{"of":"items","row":[1]}').decode()),
        ("x-ms-continuation", base64.b64encode(b'{"of":"items","extent":["","FF",null]}').decode()),
        ("x-ms-continuation", "+RID:"),
        ("x-ms-continuation", '{"token":"+RID:~a","range":[]}'),
        ("x-ms-continuation", "{" * 60),
        ("x-ms-documentdb-partitionkeyrangeid", "99"),
        ("x-ms-cosmos-intended-collection-rid", "other"),
        ("a-im", "Full-Fidelity Feed"),
        ("authorization", ""),
        ("authorization", "type=master&ver=1.0&sig=%ff"),
        ("authorization", "type=aad&ver=1.0&sig=x"),
    ],
)
def test_headers_that_mean_nothing(requests: CosmosRequests, name: str, value: str) -> None:
    assert refused(requests.documents("GET", KEY | {name: value}))


def test_a_signature_is_good_for_fifteen_minutes(requests: CosmosRequests) -> None:
    assert requests.documents("GET", KEY, date="Mon, 01 Jan 2024 00:00:00 GMT").status == 401
    assert requests.documents("GET", KEY, date="yesterday").status == 401
    assert requests.documents("GET", KEY).status == 200


@pytest.mark.parametrize("name", ["a/b", "a\\b", "a?b", "a#b", "", "x" * 1024, "end "])
def test_ids_that_are_none(requests: CosmosRequests, name: str) -> None:
    assert requests.documents("POST", KEY, {"id": name, "pk": "a"}).status == 400


@pytest.mark.parametrize("name", ["x" * 1023, "é" * 511, "a b", "a%2Fb", "+&=", "日本", "'\""])
def test_ids_of_every_kind(container: ContainerProxy, name: str) -> None:
    container.create_item({"id": name, "pk": "a"})
    assert container.read_item(name, "a")["id"] == name
    container.delete_item(name, "a")


@pytest.mark.parametrize("rid", ["~", "~%", "~====", "~AAAA", "~" + "A" * 400, "~//8=", "~\xff"])
def test_a_token_of_the_service_whose_resource_id_is_none(requests: CosmosRequests, rid: str) -> None:
    for headers in (KEY, QUERY):
        method, body = ("GET", None) if headers is KEY else ("POST", {"query": "SELECT * FROM c ORDER BY c.n"})
        answer = requests.documents(method, headers | {"x-ms-continuation": f"+RID:{rid}#RT:1#TRC:9"}, body)
        assert answer.status in (200, 400)
