"""The nodes of shelves that were used last, so that a flush needs no read."""

from collections import OrderedDict
from collections.abc import Iterable

from msgspec import Struct

from songline.processors.library.tree import runs_bytes
from songline.schemas.library.node import NodeDocument, RootDocument

_NODE_BYTES, _RUN_BYTES, _CHILD_BYTES = 600, 60, 50
"""What a node takes, with its places in tables, and what each of its runs and children does besides letters."""


class CachedShelf(Struct):
    """The nodes of a shelf that are known, as of `root`, whose ETag is `etag`; None while there is no root.

    Every flush replaces the root. So either what is known is what the container holds, or a write under `etag` fails.
    """

    root: RootDocument
    etag: str | None
    nodes: dict[str, NodeDocument]


class NodeCache:
    """Shelves by partition key. Their nodes take `room_bytes` of memory altogether; roots are not counted, and are
    kept."""

    def __init__(self, room_bytes: int) -> None:
        self._room_bytes = room_bytes
        self._bytes = 0
        self._shelves: dict[str, CachedShelf] = {}
        self._used: OrderedDict[tuple[str, str], int] = OrderedDict()

    def find(self, shelf: str) -> CachedShelf | None:
        """The shelf, None where it is not cached."""
        return self._shelves.get(shelf)

    def put(self, shelf: str, found: CachedShelf) -> None:
        """Keep a shelf that was just read or written."""
        self._shelves[shelf] = found

    def add(self, shelf: str, nodes: Iterable[NodeDocument]) -> None:
        """Keep nodes of a cached shelf as those that were used last. Those that were not used for longest go once there
        is no more room; the flush that is being planned keeps its own."""
        known = self._shelves[shelf].nodes
        for node in nodes:
            known[node.id] = node
            size = _bytes_of(node)
            self._bytes += size - self._used.pop((shelf, node.id), 0)
            self._used[shelf, node.id] = size

    def shrink(self) -> None:
        """Drop the nodes that were not used for longest, until there is room."""
        while self._bytes > self._room_bytes:
            (shelf, node_id), size = self._used.popitem(last=False)
            self._bytes -= size
            del self._shelves[shelf].nodes[node_id]

    def drop(self, shelf: str) -> None:
        """Forget the shelf; nothing happens where it is not cached."""
        found = self._shelves.pop(shelf, None)
        for node_id in found.nodes if found is not None else ():
            self._bytes -= self._used.pop((shelf, node_id))


def _bytes_of(node: NodeDocument) -> int:
    """How much memory the node takes, about: an empty one takes most by its children, a small leaf by itself."""
    return _NODE_BYTES + _RUN_BYTES * len(node.runs) + _CHILD_BYTES * len(node.pushed) + runs_bytes(node.runs)
