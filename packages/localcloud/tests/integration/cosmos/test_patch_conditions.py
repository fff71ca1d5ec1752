"""Conditions of patches: texts that differ in numbers are parsed once, and each is judged by its own."""

import pytest
from azure.cosmos import ContainerProxy
from azure.cosmos.exceptions import CosmosAccessConditionFailedError, CosmosHttpResponseError


def test_conditions_of_patches_that_differ_in_numbers_are_each_their_own(container: ContainerProxy) -> None:
    container.create_item({"id": "1", "pk": "a", "list": [4, 5], "p": {"2": 7}, "text": "a 9 b", "n": 1})
    steps = [{"op": "incr", "path": "/n", "value": 1}]

    def patched(condition: str) -> bool:
        try:
            container.patch_item("1", "a", steps, filter_predicate=f"FROM c WHERE {condition}")
        except CosmosAccessConditionFailedError:
            return False
        return True

    assert [patched(f'c.p["2"] <= {number}') for number in (6, 7, 8, 6)] == [False, True, True, False]
    assert [patched(f"c.list[{index}] = {number}") for index, number in ((0, 4), (1, 4), (1, 5))] == [True, False, True]
    assert [patched(f"c.text = 'a {number} b'") for number in (8, 9)] == [False, True]
    assert [patched(f'c.text = "a {number} b" AND c.n > -{number} AND c.n < 1{number}.5') for number in (8, 9)] == [
        False,
        True,
    ]
    for number in ("1", "100000"):
        place = len(f"SELECT * FROM c WHERE c.n < {number} AND ")
        with pytest.raises(CosmosHttpResponseError, match=f'"start": {place},'):
            container.patch_item("1", "a", steps, filter_predicate=f"FROM c WHERE c.n < {number} AND = 1")
