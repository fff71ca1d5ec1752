"""The library's cache of nodes: what it takes of memory, and which nodes it drops."""

import json
import tracemalloc
from collections.abc import Iterable

import pytest

from songline.processors.library.node_cache import CachedShelf, NodeCache
from songline.schemas.decoding import convert
from songline.schemas.library.node import NodeDocument, RootDocument

SHELF = "v1-0"
ROOM_BYTES = 250_000


def cached(room_bytes: int) -> tuple[NodeCache, CachedShelf]:
    """A cache of one shelf without nodes."""
    cache, shelf = NodeCache(room_bytes), CachedShelf(RootDocument(shelf=SHELF), None, {})
    cache.put(SHELF, shelf)
    return cache, shelf


def read_node(number: int, runs: Iterable[str] = (), children: int = 0) -> NodeDocument:
    """A node as it comes out of the container: no part of it is another's too."""
    pushed = {f"{digit:x}": 1_000_000 + digit for digit in range(children)}
    item = {"id": f"{number:08x}", "shelf": SHELF, "received": 1_000_000, "runs": [*runs], "pushed": pushed}
    return convert(json.loads(json.dumps(item)), NodeDocument)


@pytest.mark.parametrize(
    ("runs", "letters", "children"),
    [(0, 0, 1), (0, 0, 16), (1, 40, 0), (6, 40, 0), (6, 40, 16), (1, 1_000, 4), (6, 3_000, 0)],
)
def test_a_full_cache_takes_as_much_memory_as_it_may(runs: int, letters: int, children: int) -> None:
    cache, _ = cached(ROOM_BYTES)
    tracemalloc.start()
    try:
        # Twice as many as there is room for, at least.
        for number in range(2 * ROOM_BYTES // (500 + runs * letters)):
            cache.add(SHELF, [read_node(number, ["a" * letters] * runs, children)])
            cache.shrink()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.75 * ROOM_BYTES < held < 1.25 * ROOM_BYTES


def test_what_was_used_last_stays() -> None:
    cache, shelf = cached(5_300)
    kept, *others = [read_node(number, ["a" * 1_000]) for number in range(6)]
    for node in others:
        cache.add(SHELF, [kept, node])
        cache.shrink()
    assert [*shelf.nodes.values()] == [kept, *others[-2:]]
