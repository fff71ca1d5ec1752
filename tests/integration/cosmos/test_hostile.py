"""Requests that no SDK would make: each is refused in words, and none breaks the server."""

import base64
import hmac
import http.client
import json
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from azure.cosmos import ContainerProxy

from tests.support.localcloud import LocalCloud

VALUES: list[Any] = [None, 1, "x", [], {}, [1], [None], {"id": 1}, {"id": "1"}, {"id": "1", "pk": {}}]
KEY = {"x-ms-documentdb-partitionkey": '["a"]'}
QUERY = {**KEY, "x-ms-documentdb-isquery": "true"}
BATCH = {**KEY, "x-ms-cosmos-is-batch-request": "true", "x-ms-cosmos-batch-atomic": "true"}


class Answer(NamedTuple):
    status: int
    body: bytes


class Raw:
    """Signed requests about one container, as bytes."""

    def __init__(self, cloud: LocalCloud, container: ContainerProxy) -> None:
        self._key = base64.b64decode(cloud.cosmos_key)
        self.link = container.container_link
        self.connection = http.client.HTTPConnection("127.0.0.1", cloud.ports["cosmos"])

    def docs(self, method: str, headers: dict[str, str], body: Any = None, item: str = "", date: str = "") -> Answer:
        signed = f"{self.link}/docs/{item}" if item else self.link
        date = date or formatdate(usegmt=True)
        text = f"{method.lower()}\ndocs\n{signed}\n{date.lower()}\n\n"
        signature = base64.b64encode(hmac.digest(self._key, text.encode(), "sha256")).decode()
        head = {"x-ms-date": date, "authorization": quote(f"type=master&ver=1.0&sig={signature}", safe="")} | headers
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, f"/{self.link}/docs{'/' + item if item else ''}", data, head)
        response = self.connection.getresponse()
        return Answer(response.status, response.read())


@pytest.fixture
def raw(shared_localcloud: LocalCloud, container: ContainerProxy) -> Iterator[Raw]:
    raw = Raw(shared_localcloud, container)
    yield raw
    raw.connection.close()


def refused(answer: Answer) -> bool:
    return 400 <= answer.status < 500 and {"code", "message"} <= json.loads(answer.body).keys()


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_bodies_of_the_wrong_shape(raw: Raw, value: Any) -> None:
    assert refused(raw.docs("POST", KEY, value))
    assert refused(raw.docs("PATCH", KEY, value, item="1"))
    assert refused(raw.docs("POST", QUERY, value))
    assert refused(raw.docs("POST", BATCH, value))
    assert refused(raw.docs("POST", BATCH, [value]))
    assert refused(raw.docs("POST", BATCH, [{"operationType": value, "id": value, "resourceBody": value}]))
    assert refused(raw.docs("POST", QUERY, {"query": "SELECT TOP @n * FROM c", "parameters": value}))


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
def test_bodies_that_are_no_document(raw: Raw, body: bytes) -> None:
    assert refused(raw.docs("POST", KEY, body))
    assert raw.docs("GET", KEY).status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-ms-documentdb-partitionkey", "a"),
        ("x-ms-documentdb-partitionkey", '["a", "b"]'),
        ("x-ms-max-item-count", "many"),
        ("x-ms-max-item-count", "9" * 30),
        ("x-ms-continuation", "bm8="),
        ("x-ms-continuation", base64.b64encode(b'{"of":"items","row":[1]}').decode()),
        ("x-ms-documentdb-partitionkeyrangeid", "99"),
        ("x-ms-cosmos-intended-collection-rid", "other"),
        ("a-im", "Full-Fidelity Feed"),
        ("authorization", ""),
        ("authorization", "type=master&ver=1.0&sig=%ff"),
        ("authorization", "type=aad&ver=1.0&sig=x"),
    ],
)
def test_headers_that_mean_nothing(raw: Raw, name: str, value: str) -> None:
    assert refused(raw.docs("GET", KEY | {name: value}))


def test_a_signature_is_good_for_fifteen_minutes(raw: Raw) -> None:
    assert raw.docs("GET", KEY, date="Mon, 01 Jan 2024 00:00:00 GMT").status == 401
    assert raw.docs("GET", KEY, date="yesterday").status == 401
    assert raw.docs("GET", KEY).status == 200


@pytest.mark.parametrize("name", ["a/b", "a\\b", "a?b", "a#b", "", "x" * 1024, "end "])
def test_ids_that_are_none(raw: Raw, name: str) -> None:
    assert raw.docs("POST", KEY, {"id": name, "pk": "a"}).status == 400


@pytest.mark.parametrize("name", ["x" * 1023, "é" * 511, "a b", "a%2Fb", "+&=", "日本", "'\""])
def test_ids_of_every_kind(container: ContainerProxy, name: str) -> None:
    container.create_item({"id": name, "pk": "a"})
    assert container.read_item(name, "a")["id"] == name
    container.delete_item(name, "a")
