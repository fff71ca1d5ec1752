"""The partition of a key, which the SDK's buffered producers work out themselves."""

from typing import Any

import azure.eventhub._buffered_producer._partition_resolver as sdk
from hypothesis import given
from hypothesis import strategies as st

from localcloud.eventhubs.partition_key import hash_code, partition_of

SDK: Any = sdk  # untyped, as Azure ships it


@given(st.text(max_size=60))
def test_the_hash_is_the_sdks(key: str) -> None:
    assert hash_code(key) == SDK.generate_hash_code(key)


@given(st.text(max_size=30), st.integers(1, 2000))
def test_the_partition_is_the_sdks(key: str, partitions: int) -> None:
    resolver = SDK.PartitionResolver([str(number) for number in range(partitions)])
    assert str(partition_of(key, partitions)) == resolver.get_partition_id_by_partition_key(key)
