"""A shelf in memory: what the store does with the pure tree, without a store."""

from collections.abc import Iterable, Sequence

from msgspec import structs

from songline.processors.library.tree import (
    MAX_OPERATIONS,
    FlushPlan,
    MissingNodes,
    TreeCapacity,
    TreeFlush,
    flush_sizes,
)
from songline.schemas.library.action import UserAction, merge_actions
from songline.schemas.library.action_run import decode_run
from songline.schemas.library.node import NodeDocument, RootDocument, TreeDocument
from songline.schemas.library.shelf import ROOT


class MemoryShelf:
    """The documents of one shelf. Nodes are given to the plan only once it asked for them, if `is_cold`."""

    def __init__(self, capacity: TreeCapacity, *, is_cold: bool = False) -> None:
        self.capacity = capacity
        self.root = RootDocument(shelf="v1-0")
        self.nodes: dict[str, NodeDocument] = {}
        self.history: list[TreeFlush] = []
        self._is_cold = is_cold

    def add(self, partition: int, actions: Sequence[UserAction]) -> None:
        """Write `actions`, in as many flushes as they take."""
        start = 0
        for count in flush_sizes(actions):
            urgent = self.flush(partition, actions[start : start + count])
            start += count
            while urgent:
                urgent = self.flush(partition, [])

    def flush(self, partition: int, actions: Sequence[UserAction]) -> bool:
        """Write one flush; return whether another one must follow."""
        known = {} if self._is_cold else self.nodes
        plan = FlushPlan(self.root, known, partition, actions, self.capacity)
        while isinstance(planned := plan.advance(), MissingNodes):
            assert planned.ids.isdisjoint(known), "it has these"
            known.update({node_id: self.nodes[node_id] for node_id in planned.ids})
        if planned is None:
            return False
        assert 1 + len(planned.nodes) <= MAX_OPERATIONS
        self.root = planned.root
        self.nodes.update(planned.nodes)
        self.history.append(planned)
        return planned.is_urgent

    @property
    def documents(self) -> dict[str, TreeDocument]:
        return {ROOT: self.root, **self.nodes}


def actions_of(nodes: Iterable[TreeDocument], user_id: str | None = None) -> set[UserAction]:
    """The actions in `nodes`, all of them or those of a listener."""
    merged = merge_actions(decode_run(run) for node in nodes for run in node.runs)
    return {action for action in merged if user_id in (None, action.user_id)}


def tiny() -> TreeCapacity:
    """Every node is full after a few actions."""
    return structs.replace(TreeCapacity(), root=300, root_busy=500, inner=400, leaf=500)
