"""A batch taken apart: each element for itself, whatever is in the others."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.producers.http.json_array import split
from songline.schemas.errors import PoisonError

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
BROKEN = [
    b'"\xff"',
    b'{"a":"\\ud800"}',
    b"[" * 2_000 + b"]" * 2_000,
    b"nul",
    b'{"a":"\x1b"}',
    b'{"],[":"\xc3"}',
    b'"\\"],\xff"',
]


@given(st.lists(VALUES, max_size=8), st.sampled_from(BROKEN), st.integers(0, 8))
def test_one_that_is_no_json_costs_no_other_one(values: list[Any], broken: bytes, place: int) -> None:
    elements = [json.dumps(value).encode() for value in values]
    elements.insert(place, broken)
    place = elements.index(broken)
    found = split(b" [ " + b" , ".join(elements) + b" ]\n")
    assert len(found) == len(elements)
    assert found[place] == broken
    assert [json.loads(one) for one in (*found[:place], *found[place + 1 :])] == values


@pytest.mark.parametrize(
    "body", [b"", b"[", b"]", b"[1", b"[1,", b"[[]]]", b"{}", b"[]]", b"[1]x[2]", b"\xff", b"[\xff", b"[" * 9_000]
)
def test_what_is_no_array_is_poison(body: bytes) -> None:
    with pytest.raises(PoisonError):
        split(body)


@given(st.binary(max_size=60) | st.text('[]{}",\\ a1', max_size=40).map(str.encode))
def test_any_bytes_are_split_or_poison(body: bytes) -> None:
    try:
        found = split(body)
    except PoisonError:
        return
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError):
        return
    assert [json.loads(one) for one in found] == whole


@pytest.mark.parametrize("inside", [b'"\\' * 900_000, b'"' * 900_001, b'"[' * 900_000, b"[" * 900_000])
def test_a_batch_is_taken_apart_in_linear_time(inside: bytes) -> None:
    began = time.process_time()
    with suppress(PoisonError):
        split(b"[" + inside + b"]")
    assert time.process_time() - began < 5
