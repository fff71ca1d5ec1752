"""Sets, counts and slots in sorted columns are what Python's own are."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from songline.processors.trending import sorted_columns
from songline.processors.trending.count_table import CountTable
from songline.processors.trending.sorted_columns import CountMap, HashSet, KeyIndex

# Few words, so that hashes share one of theirs, and come again.
words = st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 2, 2**64 - 1])
hashes = st.tuples(words, words)


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_columns, "BLOCK", 7)
        yield


@given(st.lists(st.lists(hashes, max_size=12), max_size=12))
def test_a_set_says_which_hashes_come_first(batches: list[list[tuple[int, int]]]) -> None:
    held, seen = HashSet(), set[tuple[int, int]]()
    for batch in batches:
        first = []
        for one in batch:
            first.append(one not in seen)
            seen.add(one)
        assert held.add(np.array(batch, np.uint64).reshape(-1, 2)).tolist() == first
        assert len(held) == len(seen)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 3_000), max_size=12))
def test_a_set_of_many_hashes(seed: int, sizes: list[int]) -> None:
    random = np.random.default_rng(seed)
    held, seen = HashSet(), set[tuple[int, int]]()
    for size in sizes:
        batch = random.integers(0, 60, (size, 2)).astype(np.uint64)
        rows = [(int(one), int(two)) for one, two in batch]
        found = held.add(batch)
        first = [row for row in dict.fromkeys(rows) if row not in seen]
        assert [row for row, new in zip(rows, found, strict=True) if new] == first
        seen |= set(rows)
        others = random.integers(0, 60, (100, 2)).astype(np.uint64)
        assert held.contains(others).tolist() == [(int(one), int(two)) in seen for one, two in others]


# Counts of more than 8 and 16 bits are held otherwise than those of fewer, keys of more than 32 as well. No test adds
# more than 32 of them by one key, so that no sum has more than 31 bits, as no count of actions that fit in memory has.
counts = st.one_of(st.integers(1, 9), st.sampled_from([200, 255, 256, 30_000, 65_535, 40_000, 2**26 - 1]))
keys = st.one_of(st.integers(0, 40), st.sampled_from([2**32 - 2, 2**32 - 1, 2**32, 2**32 + 7, 2**40]))


@given(st.lists(st.dictionaries(keys, counts, max_size=12), max_size=3))
def test_counts_are_sums(batches: list[dict[int, int]]) -> None:
    held, sums = CountMap(), Counter[int]()
    for batch in batches:
        sums.update(batch)
        rising = sorted(batch)
        more = np.array([[batch[key], 0, 2 * batch[key]] for key in rising], np.int64).reshape(-1, 3)
        found = held.add(np.array(rising, np.uint64), more)
        assert found.tolist() == [[sums[key], 0, 2 * sums[key]] for key in rising]
    assert len(held) == len(sums)


@given(st.lists(st.dictionaries(keys, counts, min_size=1, max_size=12), max_size=8), st.integers(0, 8))
@example([{2**32 - 1: 2**26 - 1}] * 8, 4)
def test_what_is_kept_stays_as_it_is_while_others_are_added(batches: list[dict[int, int]], before: int) -> None:
    held, known, sums, added = CountMap(), HashSet(), Counter[int](), set[int]()

    def add(batch: dict[int, int]) -> None:
        sums.update(batch)
        added.update(batch)
        columns = np.array([[batch[key], 0, 0] for key in sorted(batch)], np.int64)
        assert held.add(np.array(sorted(batch), np.uint64), columns)[:, 0].tolist() == [
            sums[key] for key in sorted(batch)
        ]
        known.add(np.array([(key, key + 1) for key in batch], np.uint64))

    for batch in batches[:before]:
        add(batch)
    rows, there = dict(sums), set(added)
    with held.kept() as counted, known.kept() as hashes:
        for batch in batches[before:]:
            add(batch)
        found = {key: more[0] for run in counted for key, more in zip(*(one.tolist() for one in run), strict=True)}
        assert found == rows
        assert {key for keys, _ in hashes for key in keys.tolist()} == there
    for batch in batches:
        add(batch)
    again = HashSet()
    with known.kept() as hashes:
        again.restore([(keys.copy(), values.copy()) for keys, values in hashes])
    assert len(again) == len(known) == len(added)
    assert again.contains(np.array([(key, key + 1) for key in sorted(added)], np.uint64).reshape(-1, 2)).all()


@given(st.lists(st.dictionaries(keys, counts, max_size=12), max_size=12))
def test_a_table_keeps_the_greater_of_two_counts(batches: list[dict[int, int]]) -> None:
    held, greatest = CountTable(), dict[int, int]()
    for batch in batches:
        before = {key: greatest.get(key, 0) for key in batch}
        greatest |= {key: max(count, before[key]) for key, count in batch.items()}
        columns = np.array([[count, 0, 1] for count in batch.values()], np.int64).reshape(-1, 3)
        _, more = held.raise_to(np.array(list(batch), np.int64), columns)
        assert more[:, 0].tolist() == [greatest[key] - before[key] for key in batch]
    assert dict(zip(held.keys.tolist(), held.counts[:, 0].tolist(), strict=True)) == greatest


@given(st.sets(keys), st.lists(keys, unique=True, max_size=12))
def test_an_index_that_is_filled_at_once_goes_on_as_any_other(first: set[int], second: list[int]) -> None:
    rising = sorted(first)
    filled, index = KeyIndex.filled(np.array(rising, np.int64)), KeyIndex()
    assert index.of(np.array(rising, np.int64)).tolist() == list(range(len(rising)))
    assert filled.of(np.array(second, np.int64)).tolist() == index.of(np.array(second, np.int64)).tolist()
    assert filled.keys().tolist() == index.keys().tolist()


@given(st.lists(st.lists(keys, unique=True, max_size=12), max_size=12))
def test_slots_are_given_in_the_order_of_coming(batches: list[list[int]]) -> None:
    index, slots = KeyIndex(), dict[int, int]()
    for batch in batches:
        for key in batch:
            slots.setdefault(key, len(slots))
        assert index.of(np.array(batch, np.int64)).tolist() == [slots[key] for key in batch]
        assert len(index) == len(slots)
    wanted = [*range(41), *range(2**32 - 3, 2**32 + 9), 2**40, 2**41]
    assert index.find(np.array(wanted)).tolist() == [slots.get(key, -1) for key in wanted]
    assert index.keys().tolist() == list(slots)
