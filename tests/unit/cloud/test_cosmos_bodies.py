"""Bodies of writes to Cosmos DB: as the SDK makes them, whatever is in them."""

import json
from typing import Any

from azure.cosmos.aio import _asynchronous_request as requests
from hypothesis import given
from hypothesis import strategies as st

from songline.cloud import cosmos_bodies

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(), some, max_size=4),
    max_leaves=12,
)


def by_sdk(data: Any, ensure_ascii: bool = True) -> Any:
    return json.dumps(data, ensure_ascii=ensure_ascii)


def left_to_the_sdk(data: Any, ensure_ascii: bool = True) -> Any:
    return "the SDK's"


def test_the_installed_sdk_is_the_one_that_is_known() -> None:
    assert cosmos_bodies.install() == cosmos_bodies.install() == {"enable_compact_utf8_item_writes": True}
    sdk: Any = requests
    assert not hasattr(sdk._request_body_from_data.__wrapped__, "__wrapped__"), "it is replaced once"


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_a_body_means_what_the_sdks_body_means(document: dict[str, Any]) -> None:
    body = cosmos_bodies._encoding(by_sdk)(document, ensure_ascii=False)
    assert json.loads(body) == document
    assert b"\\u" not in cosmos_bodies._encoding(by_sdk)({"title": "Ünï €😀"}, ensure_ascii=False)


def test_what_can_not_be_encoded_is_the_sdks() -> None:
    encode = cosmos_bodies._encoding(left_to_the_sdk)
    for value in ("\ud800", object()):
        assert encode({"id": "1", "value": value}, ensure_ascii=False) == "the SDK's"


def test_a_body_that_is_no_items_is_the_sdks() -> None:
    encode = cosmos_bodies._encoding(left_to_the_sdk)
    assert encode({"query": "SELECT 1"}) == "the SDK's"
    assert encode("text", ensure_ascii=False) == "the SDK's"
    assert encode([("upsert", 1)], ensure_ascii=False) == b'[["upsert",1]]'
