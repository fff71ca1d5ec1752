"""A flush of a shelf's tree that takes a listener's actions out of it. Pure.

The nodes stay, without the actions: a reader on its way down finds what its parent says is there. Each node that
changes counts as pushed to by this flush, as its parents do, so that readers that remember what they read read it
again.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct, structs

from songline.processors.library.tree import (
    MAX_OPERATIONS,
    MAX_TRANSACTION_BYTES,
    MissingNodes,
    TreeFlush,
    runs_bytes,
)
from songline.schemas.library.action import UserAction
from songline.schemas.library.action_run import decode_run, encode_run
from songline.schemas.library.node import NodeDocument, RootDocument, TreeDocument
from songline.schemas.library.shelf import ROOT, child_of, is_on_path

_DOCUMENT_BYTES = 400


class ForgettingFlush(Struct, frozen=True):
    """A flush, and how many actions it takes out. `flush.is_urgent`: there are more, for a further flush."""

    flush: TreeFlush
    removed: int


def plan_forgetting(
    root: RootDocument,
    nodes: Mapping[str, NodeDocument],
    user_id: str,
    bounds: Mapping[int, int],
    applied: Mapping[int, int],
    *,
    is_fenced: bool = False,
) -> ForgettingFlush | MissingNodes | None:
    """The flush that takes out the listener's actions up to `bounds`: partition to lasting position. None where nothing
    changes. What is of a partition without a bound, and of no event (`carried` rows and the like), all goes.

    All up to the positions `applied`, by partition, is on the shelf: nobody puts it there again. The worker that passed
    over the listener, under their names, has written nothing of them; one that was stopped before may still have them.

    `is_fenced`: the root is written in any case, so that whatever was planned before is overtaken.

    `nodes` are those that are known by id, as of `root`.
    """
    known = root.applied
    raised = {str(partition): at for partition, at in applied.items() if at > known.get(str(partition), -1)}
    root = structs.replace(root, applied={**known, **raised})
    on_path, missing = _nodes_on_path(root, nodes, user_id)
    if missing:
        return MissingNodes(frozenset(missing))
    flush = root.flushes + 1
    changed: dict[str, TreeDocument] = {ROOT: root}
    removed, is_urgent = 0, False
    for node in on_path:
        runs, count = _without(node.runs, user_id, bounds)
        if not count:
            continue
        parents = [one for one in _parents(node.id) if one not in changed]
        after = {**{one: nodes[one] for one in parents}, **changed, node.id: structs.replace(node, runs=runs)}
        if not _has_room(after):
            is_urgent = True
            break
        changed, removed = after, removed + count
    if not removed and not raised and not is_urgent and not is_fenced:
        return None
    written = {node_id: _touched(node, changed, flush) for node_id, node in changed.items()}
    new_root = written.pop(ROOT)
    assert isinstance(new_root, RootDocument)
    new_root = structs.replace(new_root, flushes=flush)
    flushed = {node_id: node for node_id, node in written.items() if isinstance(node, NodeDocument)}
    return ForgettingFlush(TreeFlush(new_root, flushed, is_urgent), removed)


def is_to_forget(action: UserAction, user_id: str, bounds: Mapping[int, int]) -> bool:
    """Whether the action is one of the listener's from before the bounds."""
    if action.user_id != user_id:
        return False
    if action.kind in ("carried", "applied", "known"):
        return True
    bound = bounds.get(action.partition)
    return bound is None or action.position <= bound


def _nodes_on_path(
    root: RootDocument, nodes: Mapping[str, NodeDocument], user_id: str
) -> tuple[list[TreeDocument], set[str]]:
    """The nodes that may have actions of the listener, parents first, and those that must be read to know."""
    found: list[TreeDocument] = []
    missing: set[str] = set()
    waiting: list[TreeDocument] = [root]
    while waiting:
        node = waiting.pop()
        found.append(node)
        for digit in sorted(node.pushed):
            child_id = child_of(node.id, digit)
            if not is_on_path(child_id, user_id):
                continue
            child = nodes.get(child_id)
            if child is None:
                missing.add(child_id)
            else:
                waiting.append(child)
    return found, missing


def _without(runs: tuple[str, ...], user_id: str, bounds: Mapping[int, int]) -> tuple[tuple[str, ...], int]:
    """The runs without the actions that are to be forgotten, and how many these are."""
    after: list[str] = []
    removed = 0
    for run in runs:
        actions = decode_run(run)
        kept = [action for action in actions if not is_to_forget(action, user_id, bounds)]
        if len(kept) == len(actions):
            after.append(run)
            continue
        removed += len(actions) - len(kept)
        if kept:
            after.append(encode_run(kept))
    return tuple(after), removed


def _parents(node_id: str) -> Iterator[str]:
    """The ids of the nodes between the root and the node."""
    if node_id != ROOT:
        yield from (node_id[:depth] for depth in range(1, len(node_id)))


def _has_room(changed: Mapping[str, TreeDocument]) -> bool:
    size = sum(runs_bytes(node.runs) + _DOCUMENT_BYTES for node in changed.values())
    return len(changed) == 1 or (len(changed) <= MAX_OPERATIONS and size <= MAX_TRANSACTION_BYTES)


def _touched(node: TreeDocument, changed: Mapping[str, TreeDocument], flush: int) -> TreeDocument:
    """The node as one that received this flush, and pushed it to those of its children that change."""
    pushed = {digit: flush if child_of(node.id, digit) in changed else before for digit, before in node.pushed.items()}
    if isinstance(node, RootDocument):
        return structs.replace(node, pushed=pushed)
    return structs.replace(node, pushed=pushed, received=flush)
