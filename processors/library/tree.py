"""A flush of a shelf's tree: what one transaction writes, of the nodes as they are and new actions. Pure.

New actions are put into the root. A node that is over its capacity is pushed down: its actions go to its children by
the next digit of their keys, and a leaf becomes an inner node by that. A transaction takes MAX_OPERATIONS documents and
MAX_TRANSACTION_BYTES, so a node may stay over its capacity until a later flush; the root says which ones do, also to
the next writer. One that is over MAX_NODE_BYTES is pushed down by further flushes before more actions come.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from zlib import crc32

from msgspec import Struct, structs

from songline.schemas.library.action import UserAction, merge_actions
from songline.schemas.library.action_run import decode_run, encode_run
from songline.schemas.library.node import NodeDocument, RootDocument, TreeDocument
from songline.schemas.library.shelf import KEY_DIGITS, ROOT, USER_DIGITS, action_key, child_of, depth_of, user_digits

KB = 1024

MAX_OPERATIONS = 100
"""A transactional batch of Cosmos DB takes so many operations."""

MAX_TRANSACTION_BYTES = 1500 * KB
"""A batch takes 2 MB of request; quotes and braces come on top of what is counted here."""

MAX_NODE_BYTES = 256 * KB
"""A node that is larger is pushed down before more actions come, so that with MAX_ADDED_BYTES more, its own and the
documents that a push changes fit into a transaction."""

MAX_ADDED_BYTES = 400 * KB
"""So many bytes of actions, not packed yet, are added by one flush at most."""

_ROW_BYTES = 40
_DOCUMENT_BYTES = 400
_DIGITS = "0123456789abcdef"
_LARGE_RUN = 2 * KB
"""A run of fewer letters is small: its actions take a tenth more room, and less once it is merged with others."""
_SMALL_RUNS = 6
"""A node with more small runs than this has them merged."""


class TreeCapacity(Struct, frozen=True):
    """From how many bytes of runs a node is pushed down, those of inner nodes and leaves in the mean. The root's
    capacity grows with what a flush adds, from `root` to `root_busy`: a larger root means larger pushes, and fewer of
    them."""

    root: int = 16 * KB
    root_busy: int = 64 * KB
    inner: int = 48 * KB
    leaf: int = 32 * KB


class TreeFlush(Struct, frozen=True):
    """What a transaction writes: the root, and the nodes that change. `is_urgent`: a node is over MAX_NODE_BYTES."""

    root: RootDocument
    nodes: dict[str, NodeDocument]
    is_urgent: bool


class MissingNodes(Struct, frozen=True):
    """The flush can't be planned further before these nodes are read."""

    ids: frozenset[str]


def flush_sizes(actions: Sequence[UserAction]) -> Iterator[int]:
    """How many of the next actions go into each flush."""
    count = size = 0
    for action in actions:
        more = _ROW_BYTES + len(action.user_id) + len(action.song_id)
        if size + more > MAX_ADDED_BYTES:
            yield count
            count = size = 0
        count, size = count + 1, size + more
    if count:
        yield count


def runs_bytes(runs: Iterable[str]) -> int:
    """How large a node with these runs is, about."""
    return sum(map(len, runs))


class FlushPlan:
    """The flush that adds `actions` of `partition`, in its order, planned as far as the nodes are known.

    `nodes` are those that are known by id, as of `root`; more may be put into it between two calls of `advance`.
    Actions up to the position that the root says is applied are left out; those of no partition (None) are all added.
    """

    def __init__(
        self,
        root: RootDocument,
        nodes: Mapping[str, NodeDocument],
        partition: int | None,
        actions: Sequence[UserAction],
        capacity: TreeCapacity | None = None,
    ) -> None:
        self._flush = root.flushes + 1
        self._root = structs.replace(root, flushes=self._flush)
        self._nodes = nodes
        self._capacity = capacity or TreeCapacity()
        self._root_capacity = self._capacity.root
        # The nodes that differ from `nodes`.
        self._changed: dict[str, NodeDocument] = {}
        # Of the documents that are written: bytes of runs by id, and their sum.
        self._sizes = {ROOT: runs_bytes(root.runs)}
        self._size = self._sizes[ROOT]
        self._over = set(root.overfull)
        self._missing: set[str] = set()
        self._has_changed = self._has_pushed = False
        applied = -1 if partition is None else root.applied.get(str(partition), -1)
        fresh = actions if partition is None else [action for action in actions if action.position > applied]
        if fresh:
            self._add(partition, fresh)

    def advance(self) -> TreeFlush | MissingNodes | None:
        """The flush; or the nodes that are to be read before the next call; None where nothing changes."""
        self._missing.clear()
        unable: set[str] = set()
        while True:
            # The largest first: it is nearest to what a document may hold. Of equals, the same one in each process.
            node = max(self._overfull(unable), key=lambda one: (runs_bytes(one.runs), one.id), default=None)
            if node is None:
                break
            if self._push_down(node):
                self._has_changed = True
            else:
                unable.add(node.id)
        if self._missing:
            return MissingNodes(frozenset(self._missing))
        if not self._has_changed:
            return None
        left = sorted(self._overfull(set()), key=lambda one: (-runs_bytes(one.runs), one.id))
        is_urgent = bool(left) and runs_bytes(left[0].runs) > MAX_NODE_BYTES
        root = structs.replace(self._root, overfull=tuple(one.id for one in left))
        return TreeFlush(root, self._changed, is_urgent)

    def _add(self, partition: int | None, actions: Sequence[UserAction]) -> None:
        run = encode_run(merge_actions([actions]))
        self._root_capacity = min(self._capacity.root_busy, max(self._capacity.root, 3 * len(run)))
        applied = self._root.applied
        if partition is not None:
            applied = {**applied, str(partition): actions[-1].position}
        self._put(structs.replace(self._root, applied=applied, runs=append_run(self._root.runs, run)))
        self._has_changed = True

    def _overfull(self, unable: set[str]) -> Iterator[TreeDocument]:
        for node_id in [*self._over]:
            node = self._find(node_id)
            if node is None:
                self._missing.add(node_id)
            elif runs_bytes(node.runs) <= self._capacity_of(node):
                self._over.discard(node_id)
                continue
            elif node_id not in unable:
                yield node

    def _push_down(self, node: TreeDocument) -> bool:
        """Push actions of `node` to its children, as far as they fit into the transaction; return whether any did."""
        if not self._has_room(node, node, 0):
            return False  # What it holds takes as much room in its children: nothing need be unpacked to know it.
        if self._has_pushed and not self._has_room_for_children(node):
            return False
        # A full node has actions for nearly every child. It is unpacked once all of them are known.
        children = {digit: self._child(node, digit) for digit in _DIGITS}
        if None in children.values():
            return False
        parts = _by_digit(merge_actions(map(decode_run, node.runs)), depth_of(node.id))
        runs = {digit: encode_run(rows) for digit, rows in parts.items()}
        pushed, kept = dict(node.pushed), dict(runs)
        for digit in sorted(runs, key=lambda digit: -len(runs[digit])):
            child = children[digit]
            assert child is not None
            if not self._has_room(node, child, runs_bytes(kept.values())):
                if runs_bytes(child.runs) > self._capacity_of(child):
                    # An earlier writer left it so. It makes room once it is pushed down itself.
                    self._over.add(child.id)
                continue
            self._put(structs.replace(child, received=self._flush, runs=append_run(child.runs, runs[digit])))
            pushed[digit] = self._flush
            del kept[digit]
        if len(kept) == len(runs):
            return False
        self._put(structs.replace(node, runs=tuple(kept.values()), pushed=pushed))
        self._has_pushed = True
        return True

    def _child(self, node: TreeDocument, digit: str) -> NodeDocument | None:
        """The node's child for a digit, a new one where there is none; None where it must be read first."""
        child_id = child_of(node.id, digit)
        found = self._changed.get(child_id) or self._nodes.get(child_id)
        if found is None and digit in node.pushed:
            self._missing.add(child_id)
            return None
        return found or NodeDocument(id=child_id, shelf=node.shelf, received=0)

    def _has_room(self, node: TreeDocument, child: TreeDocument, kept: int) -> bool:
        """Whether the transaction has room for `node` and its `child`, between which `kept` bytes are shared out."""
        size = self._size - self._sizes.get(node.id, 0) + kept
        count = len(self._sizes) + (node.id not in self._sizes)
        if child.id != node.id and child.id not in self._sizes:
            size, count = size + runs_bytes(child.runs), count + 1
        return count <= MAX_OPERATIONS and size + _DOCUMENT_BYTES * count <= MAX_TRANSACTION_BYTES

    def _has_room_for_children(self, node: TreeDocument) -> bool:
        """Whether the transaction has room for all that a push of `node` changes. One that is pushed down in part is
        unpacked and packed again for the rest, so only the first node of a transaction is: the largest of all."""
        size, count = self._size, len(self._sizes) + (node.id not in self._sizes)
        if node.id not in self._sizes:
            size += runs_bytes(node.runs)
        for digit in _DIGITS:
            child_id = child_of(node.id, digit)
            if child_id not in self._sizes:
                child = self._nodes.get(child_id)
                unknown = self._capacity.leaf if digit in node.pushed else 0
                size, count = size + (unknown if child is None else runs_bytes(child.runs)), count + 1
        return count <= MAX_OPERATIONS and size + _DOCUMENT_BYTES * count <= MAX_TRANSACTION_BYTES

    def _put(self, node: TreeDocument) -> None:
        if isinstance(node, RootDocument):
            self._root = node
        else:
            self._changed[node.id] = node
        size = runs_bytes(node.runs)
        self._size += size - self._sizes.get(node.id, 0)
        self._sizes[node.id] = size
        if size > self._capacity_of(node):
            self._over.add(node.id)

    def _find(self, node_id: str) -> TreeDocument | None:
        return self._root if node_id == ROOT else self._changed.get(node_id) or self._nodes.get(node_id)

    def _capacity_of(self, node: TreeDocument) -> int:
        if isinstance(node, RootDocument):
            return self._root_capacity
        if len(node.id) == KEY_DIGITS:
            return MAX_NODE_BYTES * KB  # Actions with one key are copies of each other: they can't be told apart.
        capacity = self._capacity.inner if node.pushed else self._capacity.leaf
        return round(capacity * _share(node.id))


def _share(node_id: str) -> float:
    """How much of the capacity a node takes, from 0.5 to 1.5 by its id. Hashes put as much into each node of a level,
    so that nodes of the same size would all be full, and be pushed down, in the same seconds."""
    return 0.5 + crc32(node_id.encode()) / 2**32


def append_run(runs: tuple[str, ...], run: str) -> tuple[str, ...]:
    """`runs` and `run`, the small ones merged where they are many.

    Large ones are left as they are: to merge them saves little room, and a push unpacks all of them anyway.
    """
    small = [one for one in runs if len(one) < _LARGE_RUN]
    if len(small) < _SMALL_RUNS:
        return (*runs, run)
    large = (one for one in runs if len(one) >= _LARGE_RUN)
    return (*large, encode_run(merge_actions(map(decode_run, (*small, run)))))


def _by_digit(actions: Sequence[UserAction], depth: int) -> dict[str, list[UserAction]]:
    """The actions by the digit of their keys at `depth`, each list in order."""
    found: dict[str, list[UserAction]] = {}
    if depth < USER_DIGITS:
        for user_id, rows in groupby(actions, key=itemgetter(0)):
            found.setdefault(user_digits(user_id)[depth], []).extend(rows)
    else:
        for action in actions:
            key = action_key(action)
            found.setdefault(key[depth], []).append(action)
    return found
