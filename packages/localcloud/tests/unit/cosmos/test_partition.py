"""Partition keys: definitions, values, and hashes that are the SDK's."""

import tracemalloc

import pytest
from azure.cosmos.partition_key import PartitionKey
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.partition import canonical, parse_definition, parse_path, parse_values, ranges_of
from localcloud.cosmos.values import UNDEFINED

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=150)
VALUES = st.one_of(
    TEXT, st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53), st.booleans(), st.none()
)


@settings(deadline=None)
@given(VALUES)
def test_version_2_hashes_as_the_sdk_does(value: str | float | bool | None) -> None:
    ours = parse_definition({"paths": ["/a"], "kind": "Hash", "version": 2}).effective((value,))
    assert ours == PartitionKey("/a")._get_effective_partition_key_string([value])


@settings(deadline=None)
@given(st.one_of(st.text("abc é", max_size=30), st.booleans(), st.integers(0, 2**31)))
def test_version_1_hashes_as_the_sdk_does(value: str | int | bool) -> None:
    ours = parse_definition({"paths": ["/a"]}).effective((value,))
    theirs = PartitionKey("/a", version=1)._get_effective_partition_key_string([value])
    assert ours == str(theirs).upper()


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=3))
def test_hierarchical_keys_hash_as_the_sdk_does_and_start_with_their_prefix(
    values: list[str | float | bool | None],
) -> None:
    definition = parse_definition({"paths": ["/a", "/b", "/c"], "kind": "MultiHash", "version": 2})
    ours = definition.effective(tuple(values))
    assert ours == PartitionKey(["/a", "/b", "/c"])._get_effective_partition_key_string(values)
    assert ours.startswith(definition.effective(tuple(values[:1])))


def test_keys_are_not_remembered() -> None:
    """A listener or a song is a key, and there is no end of them."""
    definition = parse_definition({"paths": ["/userId"], "version": 2})
    tracemalloc.start()
    try:
        for number in range(2_000):
            definition.effective((f"user-{number}",))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 50_000


def test_hashes_stay_what_they_are() -> None:
    """Stored items are found by their hash: these may never change."""
    definition = parse_definition({"paths": ["/userId"], "version": 2})
    keys: list[object] = ["user-7", 42, None, UNDEFINED]
    assert [definition.effective((key,)) for key in keys] == [
        HASHES["user-7"],
        HASHES[42],
        HASHES[None],
        HASHES["undefined"],
    ]


HASHES: dict[object, str] = {
    "user-7": "34C06593565F93B824867331A814C86E",
    42: "08E6D561F6FD951DCC25E7E4EA2884B5",
    None: "378867E4430E67857ACE5C908374FE16",
    "undefined": "11622DAA78F835834610ABE56EFF5CB5",
}


@settings(deadline=None)
@given(st.integers(1, 40), st.sampled_from([1, 2]), VALUES)
def test_every_key_is_in_exactly_one_range(count: int, version: int, value: object) -> None:
    ranges = ranges_of(version, count)
    epk = parse_definition({"paths": ["/a"], "version": version}).effective((value,))
    assert [found.holds(epk) for found in ranges].count(True) == 1
    assert (ranges[0].low, ranges[-1].high, len(ranges)) == ("", "FF", count)


@given(st.integers(1, 200))
def test_ranges_are_split_as_the_service_splits_them(count: int) -> None:
    width = 2**126 // count
    assert [found.high for found in ranges_of(2, count)] == [*(f"{i * width:032X}" for i in range(1, count)), "FF"]
    assert [found.low for found in ranges_of(2, count)] == ["", *(f"{i * width:032X}" for i in range(1, count))]


def test_ranges_that_the_service_gave() -> None:
    five = [found.low for found in ranges_of(2, 5)]
    assert five[1:3] == ["0CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC", "19999999999999999999999999999998"]
    assert five[3:] == ["26666666666666666666666666666664", "33333333333333333333333333333330"]
    old = [found.low for found in ranges_of(1, 5)]
    assert old == ["", "05C1C9CD673398", "05C1D9CD673398", "05C1E399CD6732", "05C1E9CD673398"]


def test_extraction() -> None:
    definition = parse_definition({"paths": ['/a/"b c"', "/d"], "kind": "MultiHash", "version": 2})
    assert definition.extract({"a": {"b c": 1}, "d": None}) == (1, None)
    assert definition.extract({"a": 1, "d": {"e": 1}}) == (UNDEFINED, UNDEFINED)


def test_equal_keys_have_one_text() -> None:
    assert (
        canonical((1, True, None, UNDEFINED, "a"))
        == canonical((1.0, True, None, UNDEFINED, "a"))
        == '[1,true,null,{},"a"]'
    )
    assert parse_values('[{}, null, "a"]') == (UNDEFINED, None, "a")


@pytest.mark.parametrize(
    "header", ["a", '"a"', "[[1]]", '[{"a": 1}]', "[1e999]", "[NaN]", f"[{'9' * 400}]", f"[{'9' * 5000}]"]
)
def test_bad_values_are_refused(header: str) -> None:
    with pytest.raises(BadRequestError):
        parse_values(header)


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"paths": []},
        {"paths": ["a"]},
        {"paths": ["/a", "/b"]},
        {"paths": ["/a"], "kind": "Range"},
        {"paths": ["/a"], "version": 3},
    ],
)
def test_bad_definitions_are_refused(definition: dict[str, object]) -> None:
    with pytest.raises(BadRequestError):
        parse_definition(definition)


def test_paths() -> None:
    assert parse_path('/a/"b/c"/d') == ("a", "b/c", "d")
