"""Reads a listener's library out of a shelf's tree, of which only what has changed need be read. Pure.

Reads are no transactions, and the worker pushes actions down while a reader reads. A parent says with which flush it
pushed to a child last, and the child which flush it received last. So a child that has not received what its parent
pushed is read again. It works the other way round as well: which actions are in a node and below it changes only when
the node receives a push. So a node that was read after its parent's last push need not be read, nor what is below it.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from songline.projections.library.lists import LibraryLists
from songline.schemas.library.action import UserAction
from songline.schemas.library.action_run import decode_run
from songline.schemas.library.fold import fold_actions
from songline.schemas.library.node import NodeDocument, RootDocument, TreeDocument, torn_reads
from songline.schemas.library.shelf import ROOT, path_of

_NO_ACTIONS = hash(frozenset())


class SeenNode(Struct, frozen=True, gc=False):
    """A node as it was read: the last flush that it had received, and a hash of the listener's actions in it."""

    received: int
    digest: int


class SeenLibrary(Struct, frozen=True):
    """A listener's library, and the nodes that it was read from, by id. `tree` is the resource id of the root: another
    one where the shelf was deleted and written anew, whose flushes are counted from 1 again. `etag` is the root's, or
    empty without one: each flush writes the root, so that nothing has changed while the root has not."""

    lists: LibraryLists
    nodes: Mapping[str, SeenNode]
    tree: str
    etag: str


class ReadRoot(RootDocument, frozen=True, kw_only=True, rename="camel"):
    """A root as it is read, with the resource id and the ETag that Cosmos DB gave it."""

    rid: str = field(name="_rid")
    etag: str = field(name="_etag")


class PathRead:
    """A read of a listener's library. `seen` is an earlier read of it, None without one.

    Read the documents of `wanted`, give those that exist to `add`, and repeat until none are wanted. Then `library`
    has every action that was there when the root was read.
    """

    def __init__(self, user_id: str, seen: SeenLibrary | None) -> None:
        self._user_id = user_id
        self._seen = seen
        self._known: Mapping[str, SeenNode] = {} if seen is None else seen.nodes
        self._tree = self._etag = ""
        self._nodes: dict[str, TreeDocument] = {}
        self._actions: dict[str, list[UserAction]] = {}
        self._digests: dict[str, int] = {}
        self.wanted: list[str] = [ROOT] if self._known else path_of(user_id)

    def add(self, documents: Iterable[TreeDocument]) -> None:
        """Take the documents that exist of those wanted. Raises RunFormatError."""
        for document in documents:
            actions = [action for run in document.runs for action in decode_run(run) if action.user_id == self._user_id]
            self._nodes[document.id] = document
            if isinstance(document, ReadRoot):
                self._tree, self._etag = document.rid, document.etag
            self._actions[document.id] = actions
            # The worker merges runs, which puts the same actions in another order.
            self._digests[document.id] = hash(frozenset(actions))
        if self._seen is not None and self._seen.tree != self._tree:
            self._known, self._seen = {}, None
        self.wanted = sorted(
            node_id for node_id in torn_reads(self._nodes, self._user_id) if not self._is_known(node_id)
        )
        if self._known and not self.wanted and self._has_changed():
            # The actions of the nodes that did not change are needed too: only their hashes were kept.
            self.wanted = sorted(self._known.keys() - self._nodes.keys())
            self._known, self._seen = {}, None

    @property
    def size_letters(self) -> int:
        """How many letters of runs were read: how much work `library` is."""
        return sum(map(letters_in, self._nodes.values()))

    @property
    def actions(self) -> Iterable[UserAction]:
        """The listener's actions in all nodes that were read."""
        return (action for of_node in self._actions.values() for action in of_node)

    def library(self) -> SeenLibrary:
        """The library, once nothing is wanted."""
        nodes = {node_id: SeenNode(_received(self._nodes[node_id]), each) for node_id, each in self._digests.items()}
        if self._seen is not None:
            return SeenLibrary(self._seen.lists, {**self._seen.nodes, **nodes}, self._tree, self._etag)
        return SeenLibrary(LibraryLists(fold_actions(self.actions)), nodes, self._tree, self._etag)

    def _is_known(self, node_id: str) -> bool:
        """Whether the node has the actions that it had when it was read before, and so has all that is below it."""
        known = self._known.get(node_id)
        if known is None or node_id in self._nodes:
            return False
        return known.received >= self._nodes[node_id[:-1] or ROOT].pushed[node_id[-1]]

    def _has_changed(self) -> bool:
        """Whether a node has other actions of the listener than before."""
        return any(
            digest != (self._known[node_id].digest if node_id in self._known else _NO_ACTIONS)
            for node_id, digest in self._digests.items()
        )


def letters_in(node: TreeDocument) -> int:
    """How many letters the runs of a node have."""
    return sum(map(len, node.runs))


def node_kind(node_id: str) -> type[TreeDocument]:
    """The type of a node's document."""
    return ReadRoot if node_id == ROOT else NodeDocument


def _received(node: TreeDocument) -> int:
    return node.flushes if isinstance(node, RootDocument) else node.received
