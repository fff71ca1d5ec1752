"""The documents of a shelf's tree, which hold all actions of its listeners.

A tree is a buffer tree: new actions come into the root, and when a node's runs are over its capacity they are pushed
down to its children. A leaf that is over its capacity becomes an inner node. All that one flush changes is one
transaction, which replaces the root under its ETag; `flushes` of the root counts them, and so is a version of the tree.

Reads are no transactions: a child may be read before a push and its parent after it. So a parent says for each child
with which flush it pushed last (`pushed`), and a child says which flush it received last (`received`). Where a child
was read that has not received what its parent pushed, it is read again: see `torn_reads`. The other way round, actions
are found twice, which does no harm to a set.
"""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct

from songline.schemas.library.shelf import ROOT, child_of, is_on_path


class NodeDocument(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A node other than the root. `shelf` is the partition key (`shelf_key`), `id` the beginning of the keys of its
    actions.

    `runs` are in no order. `pushed` has the children: digit to the last flush that pushed to it. A leaf has none.
    `received` is the last flush that pushed into this node.
    """

    id: str
    shelf: str
    received: int
    runs: tuple[str, ...] = ()
    pushed: dict[str, int] = {}


class RootDocument(Struct, frozen=True, kw_only=True, rename="camel"):
    """The root of a shelf's tree; `id` is ROOT.

    `applied`: partition of `music-events` to the lasting position up to which all its actions of the shelf's listeners
    are in the tree. `flushes` counts the transactions. `runs` and `pushed`: as in NodeDocument. `overfull`: the nodes
    that stay over their capacity until a later flush has room for them, the largest first.
    """

    shelf: str
    id: str = ROOT
    flushes: int = 0
    applied: dict[str, int] = {}
    runs: tuple[str, ...] = ()
    pushed: dict[str, int] = {}
    overfull: tuple[str, ...] = ()


TreeDocument: TypeAlias = RootDocument | NodeDocument


def torn_reads(nodes: Mapping[str, TreeDocument], user_id: str) -> Iterator[str]:
    """The ids on the listener's path that must be read again, of nodes that were read one by one, by id.

    None are left where a read was good: then every action that was in the tree when the first node was read is in one
    of `nodes`. A child that is missing in `nodes` is torn too.
    """
    for node_id, node in nodes.items():
        for digit, flush in node.pushed.items():
            child_id = child_of(node_id, digit)
            child = nodes.get(child_id)
            is_torn = child is None or (isinstance(child, NodeDocument) and child.received < flush)
            if is_torn and is_on_path(child_id, user_id):
                yield child_id
