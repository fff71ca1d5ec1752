"""The hash of a partition key is that of the SDK."""

import tracemalloc

from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver, generate_hash_code
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.partition_key import key_hash


@given(st.text(max_size=60) | st.text("abcxyz019-:", max_size=60), st.integers(1, 40))
def test_a_key_has_the_partition_that_the_sdk_gives_it(key: str, partitions: int) -> None:
    resolver = PartitionResolver(list(range(partitions)))  # type: ignore[no-untyped-call]
    assert key_hash(key) == generate_hash_code(key)  # type: ignore[no-untyped-call]
    assert key_hash(key) % partitions == resolver.get_partition_id_by_partition_key(key)  # type: ignore[no-untyped-call]


def test_an_empty_key_has_a_hash() -> None:
    assert key_hash("") == 0


def test_the_keys_of_a_million_listeners_take_no_more_memory_than_those_of_ten_thousand() -> None:
    tracemalloc.start()
    try:
        for number in range(40_000):
            key_hash(f"user-{number}")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 6_000_000
