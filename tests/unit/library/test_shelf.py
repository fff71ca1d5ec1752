"""Which shelf a listener is in, and the way through its tree."""

import tracemalloc

from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver
from hypothesis import given
from hypothesis import strategies as st

from songline.schemas.library.action import UserAction
from songline.schemas.library.node import NodeDocument, RootDocument, torn_reads
from songline.schemas.library.shelf import (
    KEY_DIGITS,
    ROOT,
    action_key,
    child_of,
    depth_of,
    is_on_path,
    path_of,
    shelf_of,
)

IDS = st.text("abcXYZ019._:-", min_size=1, max_size=128)


@given(st.text(max_size=60), st.integers(1, 40), st.integers(1, 4))
def test_a_shelf_has_listeners_of_one_partition(key: str, partitions: int, times: int) -> None:
    resolver = PartitionResolver([str(number) for number in range(partitions)])  # type: ignore[no-untyped-call]
    partition = resolver.get_partition_id_by_partition_key(key)  # type: ignore[no-untyped-call]
    assert str(shelf_of(key, partitions * times) % partitions) == partition


@given(IDS, IDS, st.integers(0, 2**48 - 1))
def test_an_action_is_on_its_listeners_path(user: str, song: str, mark: int) -> None:
    key, path = action_key(UserAction(user, song, 17, mark, "listen", 0, 0)), path_of(user)
    assert len(key) == KEY_DIGITS
    assert all(key.startswith(node_id) for node_id in path[1:])
    nodes = [ROOT]
    for digit in key:
        nodes.append(child_of(nodes[-1], digit))
    assert nodes[: len(path)] == path
    assert [depth_of(node_id) for node_id in nodes] == list(range(KEY_DIGITS + 1))
    assert all(is_on_path(node_id, user) for node_id in nodes)
    wrong = "0" if key[0] != "0" else "1"
    assert not is_on_path(wrong, user)


def test_a_child_that_misses_a_push_is_torn() -> None:
    user, path = "user-7", path_of("user-7")
    first, second = path[1], path[2]
    root = RootDocument(shelf="v1-0", flushes=9, pushed={first: 8, "0" if first != "0" else "1": 9})
    assert list(torn_reads({ROOT: root}, user)) == [first]
    old = NodeDocument(id=first, shelf="v1-0", received=7)
    assert list(torn_reads({ROOT: root, first: old}, user)) == [first]
    inner = NodeDocument(id=first, shelf="v1-0", received=8, pushed={second[-1]: 8})
    assert list(torn_reads({ROOT: root, first: inner}, user)) == [second]
    newer = NodeDocument(id=second, shelf="v1-0", received=11)
    assert list(torn_reads({ROOT: root, first: inner, second: newer}, user)) == []


def test_what_is_remembered_of_listeners_does_not_grow_with_them() -> None:
    tracemalloc.start()
    try:
        for number in range(20_000):
            path_of(f"user-{number}")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 3_000_000
