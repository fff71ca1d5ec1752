"""Partial updates of a document."""

import pytest

from localcloud.cosmos.errors import BadRequestError, PreconditionFailedError
from localcloud.cosmos.patch import Patch, parse_steps

DOCUMENT: dict[str, object] = {"id": "1", "n": 1, "list": [1, 2], "in": {"a~b": 1, "c/d": 2}}


def patched(*operations: dict[str, object]) -> dict[str, object]:
    return Patch(parse_steps(list(operations))).apply(DOCUMENT)


@pytest.mark.parametrize(
    ("operation", "changed"),
    [
        ({"op": "add", "path": "/x", "value": {"y": 1}}, {"x": {"y": 1}}),
        ({"op": "add", "path": "/list/1", "value": 9}, {"list": [1, 9, 2]}),
        ({"op": "add", "path": "/list/-", "value": 9}, {"list": [1, 2, 9]}),
        ({"op": "set", "path": "/list/1", "value": 9}, {"list": [1, 9]}),
        ({"op": "set", "path": "/n", "value": None}, {"n": None}),
        ({"op": "replace", "path": "/n", "value": 2}, {"n": 2}),
        ({"op": "remove", "path": "/list/0"}, {"list": [2]}),
        ({"op": "incr", "path": "/n", "value": 2.5}, {"n": 3.5}),
        ({"op": "incr", "path": "/new", "value": 2}, {"new": 2}),
        ({"op": "incr", "path": "/list/1", "value": -2}, {"list": [1, 0]}),
        ({"op": "set", "path": "/in/a~0b", "value": 5}, {"in": {"a~b": 5, "c/d": 2}}),
        ({"op": "set", "path": "/in/c~1d", "value": 5}, {"in": {"a~b": 1, "c/d": 5}}),
    ],
)
def test_operations(operation: dict[str, object], changed: dict[str, object]) -> None:
    assert patched(operation) == DOCUMENT | changed


def test_a_move_takes_and_puts() -> None:
    assert patched({"op": "move", "from": "/n", "path": "/m"}) == {k: v for k, v in DOCUMENT.items() if k != "n"} | {
        "m": 1
    }


def test_steps_see_what_those_before_them_did_and_leave_the_document_alone() -> None:
    before = repr(DOCUMENT)
    assert patched({"op": "set", "path": "/a", "value": [1]}, {"op": "add", "path": "/a/-", "value": 2})["a"] == [1, 2]
    assert repr(DOCUMENT) == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/x", "value": 1},
        {"op": "remove", "path": "/x"},
        {"op": "set", "path": "/x/y", "value": 1},
        {"op": "set", "path": "/n/y", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/list/\u00b2", "value": 1},
        {"op": "add", "path": "/list/" + 5_000 * "1", "value": 1},
        {"op": "incr", "path": "/list/\u00b2", "value": 1},
        {"op": "incr", "path": "/list", "value": 1},
        {"op": "incr", "path": "/n", "value": "1"},
        {"op": "set", "path": "/_ts", "value": 1},
        {"op": "set", "path": "n", "value": 1},
        {"op": "set", "path": "/n"},
        {"op": "jump", "path": "/n"},
        {"op": "move", "from": "/in", "path": "/in/x"},
    ],
)
def test_what_does_not_fit_is_refused(operation: dict[str, object]) -> None:
    with pytest.raises(BadRequestError):
        patched(operation)


@pytest.mark.parametrize(("before", "by"), [(1e308, 1e308), (10**400, 1), (10**400, 0.5), (1.5, 10**400)])
def test_no_number_is_incremented_beyond_what_it_can_be(before: float, by: float) -> None:
    patch = Patch(parse_steps([{"op": "incr", "path": "/n", "value": by}]))
    with pytest.raises(BadRequestError, match="increments /n beyond what a number can be"):
        patch.apply({"id": "1", "n": before})


def test_ten_operations_are_the_most() -> None:
    steps = [{"op": "set", "path": "/n", "value": 1}]
    assert len(parse_steps(steps * 10)) == 10
    with pytest.raises(BadRequestError, match="11 operations"):
        parse_steps(steps * 11)


def test_a_condition_that_does_not_hold() -> None:
    with pytest.raises(PreconditionFailedError):
        Patch(parse_steps([{"op": "remove", "path": "/n"}]), lambda document: document["n"] == 2).apply(DOCUMENT)
