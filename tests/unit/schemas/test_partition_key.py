"""The hash of a partition key is that of the SDK."""

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


def test_not_every_key_is_remembered_as_ever_more_listeners_come() -> None:
    for number in range(40_000):
        key_hash(f"user-{number}")
    assert key_hash.cache_info().currsize <= 16_384
