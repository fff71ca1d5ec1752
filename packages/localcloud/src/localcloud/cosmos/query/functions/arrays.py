"""Array and object functions."""

from collections.abc import Callable

from localcloud.cosmos.query.functions.numbers import is_number
from localcloud.cosmos.values import UNDEFINED, fingerprint, is_same


def _array_concat(*arrays: object) -> object:
    if not all(isinstance(array, list) for array in arrays):
        return UNDEFINED
    return [item for array in arrays for item in array]  # type: ignore[attr-defined]  # all lists


def _contains(array: object, value: object, partial: object = False) -> object:
    if not isinstance(array, list) or value is UNDEFINED:
        return UNDEFINED
    if partial is True and isinstance(value, dict):
        return any(
            isinstance(item, dict) and all(key in item and is_same(item[key], part) for key, part in value.items())
            for item in array
        )
    return any(is_same(item, value) for item in array)


def _contains_any(array: object, *values: object) -> object:
    return any(_contains(array, value) for value in values) if isinstance(array, list) else UNDEFINED


def _contains_all(array: object, *values: object) -> object:
    return all(_contains(array, value) for value in values) if isinstance(array, list) else UNDEFINED


def _slice(array: object, start: object, length: object = None) -> object:
    if not isinstance(array, list) or not is_number(start) or not (length is None or is_number(length)):
        return UNDEFINED
    first = int(start)  # type: ignore[call-overload]  # a number
    first = max(0, first + len(array)) if first < 0 else first
    count = len(array) if length is None else max(0, int(length))  # type: ignore[call-overload]  # a number
    return array[first : first + count]


def _distinct(items: list[object]) -> list[object]:
    return list({fingerprint(item): item for item in reversed(items)}.values())[::-1]


def _set_of(combine: Callable[[list[object], set[object]], list[object]]) -> Callable[..., object]:
    def evaluate(left: object, right: object) -> object:
        if not isinstance(left, list) or not isinstance(right, list):
            return UNDEFINED
        return combine(_distinct(left), {fingerprint(item) for item in right})

    return evaluate


def _set_union(left: object, right: object) -> object:
    return _distinct(left + right) if isinstance(left, list) and isinstance(right, list) else UNDEFINED


def _object_to_array(value: object, key_name: object = "k", value_name: object = "v") -> object:
    if not isinstance(value, dict) or not isinstance(key_name, str) or not isinstance(value_name, str):
        return UNDEFINED
    return [{key_name: key, value_name: item} for key, item in value.items()]


FUNCTIONS: dict[str, tuple[Callable[..., object], int, int]] = {
    "ARRAY_CONCAT": (_array_concat, 2, 200),
    "ARRAY_CONTAINS": (_contains, 2, 3),
    "ARRAY_CONTAINS_ALL": (_contains_all, 2, 200),
    "ARRAY_CONTAINS_ANY": (_contains_any, 2, 200),
    "ARRAY_LENGTH": (lambda array: len(array) if isinstance(array, list) else UNDEFINED, 1, 1),
    "ARRAY_SLICE": (_slice, 2, 3),
    "OBJECTTOARRAY": (_object_to_array, 1, 3),
    "SETDIFFERENCE": (_set_of(lambda left, right: [i for i in left if fingerprint(i) not in right]), 2, 2),
    "SETEQUAL": (
        lambda left, right: (
            {fingerprint(i) for i in left} == {fingerprint(i) for i in right}
            if isinstance(left, list) and isinstance(right, list)
            else UNDEFINED
        ),
        2,
        2,
    ),
    "SETINTERSECT": (_set_of(lambda left, right: [i for i in left if fingerprint(i) in right]), 2, 2),
    "SETUNION": (_set_union, 2, 2),
}
