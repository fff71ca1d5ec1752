"""A listener's actions taken out of a shelf's tree: all of theirs up to a position, and nobody else's."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from songline.processors.library.forgetting import ForgettingFlush, is_to_forget, plan_forgetting
from songline.processors.library.tree import MAX_OPERATIONS, MissingNodes, TreeCapacity
from songline.projections.library.path_read import PathRead, ReadRoot, SeenLibrary
from songline.schemas.library.action import UserAction, event_mark
from songline.schemas.library.fold import FoldedLibrary, fold_actions
from songline.schemas.library.node import NodeDocument, RootDocument
from songline.schemas.library.shelf import ROOT
from tests.support.library_tree import MemoryShelf, actions_of, tiny

NOON_US = 1_764_000_000_000_000
USER = "user-3"
NOTHING: Mapping[int, int] = {}


def listen(position: int, user: int, partition: int = 0, song: int | None = None) -> UserAction:
    at_us = NOON_US + position * 1_000
    song_id = f"song-{position % 10 if song is None else song}"
    return UserAction(f"user-{user}", song_id, at_us, event_mark(str(position)), "listen", partition, position)


def forget(
    shelf: MemoryShelf,
    user_id: str,
    bounds: Mapping[int, int],
    applied: Mapping[int, int] = NOTHING,
    *,
    is_cold: bool = False,
) -> tuple[int, int]:
    """Write flushes until nothing is left to forget; return how many actions went, in how many flushes."""
    removed = flushes = 0
    known: dict[str, NodeDocument] = {} if is_cold else shelf.nodes
    while (planned := plan_forgetting(shelf.root, known, user_id, bounds, applied)) is not None:
        if isinstance(planned, MissingNodes):
            assert planned.ids.isdisjoint(known), "it has these"
            known = {**known, **{node_id: shelf.nodes[node_id] for node_id in planned.ids}}
            continue
        assert 1 + len(planned.flush.nodes) <= MAX_OPERATIONS
        shelf.root = planned.flush.root
        shelf.nodes.update(planned.flush.nodes)
        known = {**known, **planned.flush.nodes}
        removed, flushes = removed + planned.removed, flushes + 1
        if not planned.flush.is_urgent:
            break
    return removed, flushes


def test_a_fence_is_written_where_nothing_changes() -> None:
    """Also on a shelf that is not there: whoever has planned to create it is overtaken."""
    shelf = MemoryShelf(tiny())
    assert plan_forgetting(shelf.root, shelf.nodes, USER, {0: 5}, NOTHING) is None
    planned = plan_forgetting(shelf.root, shelf.nodes, USER, {0: 5}, NOTHING, is_fenced=True)
    assert isinstance(planned, ForgettingFlush)
    assert (planned.removed, planned.flush.is_urgent, dict(planned.flush.nodes)) == (0, False, {})
    assert planned.flush.root == structs.replace(shelf.root, flushes=shelf.root.flushes + 1)


def fields_of(root: RootDocument) -> dict[str, Any]:
    return {name: getattr(root, name) for name in root.__struct_fields__}


class CachedReader:
    """A listener's library as the API reads it: with what it read before in mind."""

    def __init__(self, user_id: str) -> None:
        self._user_id = user_id
        self._seen: SeenLibrary | None = None

    def read(self, shelf: MemoryShelf) -> FoldedLibrary:
        path = PathRead(self._user_id, self._seen)
        while wanted := path.wanted:
            found: list[NodeDocument | RootDocument] = [
                ReadRoot(
                    **{name: getattr(shelf.root, name) for name in shelf.root.__struct_fields__}, rid="1", etag="e"
                )
                if node_id == ROOT
                else shelf.nodes[node_id]
                for node_id in wanted
                if node_id == ROOT or node_id in shelf.nodes
            ]
            path.add(found)
            assert path.wanted != wanted, "a node that is read again and again"
        self._seen = path.library()
        return self._seen.lists.library


PICKS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), max_size=150)


@settings(deadline=None)
@given(PICKS, st.integers(-1, 160), st.booleans(), PICKS)
def test_all_of_a_listener_goes_up_to_the_bound_and_nothing_else(
    picks: list[tuple[int, int]], bound: int, is_cold: bool, later: list[tuple[int, int]]
) -> None:
    shelf, bounds = MemoryShelf(tiny()), {0: bound}
    actions = [listen(position, user, partition) for position, (user, partition) in enumerate(picks)]
    for action in actions:
        shelf.add(action.partition, [action])
    reader = CachedReader(USER)
    reader.read(shelf)
    removed, _ = forget(shelf, USER, bounds, is_cold=is_cold)
    kept = {action for action in actions if not is_to_forget(action, USER, bounds)}
    assert actions_of(shelf.documents.values()) == kept
    assert removed >= len(actions) - len(kept)
    assert reader.read(shelf) == fold_actions(one for one in kept if one.user_id == USER)
    assert forget(shelf, USER, bounds) == (0, 0)
    # The tree goes on as before.
    more = [listen(1_000 + place, user, partition) for place, (user, partition) in enumerate(later)]
    for action in more:
        shelf.add(action.partition, [action])
    assert actions_of(shelf.documents.values()) == kept | set(more)
    assert reader.read(shelf) == fold_actions(one for one in kept | set(more) if one.user_id == USER)


def test_what_was_passed_over_is_not_taken_any_more() -> None:
    """A worker that was stopped before it knew who is forgotten goes on with what another one has passed over."""
    shelf = MemoryShelf(TreeCapacity())
    shelf.add(0, [listen(5, 4)])
    stale, ahead = [listen(6, 3), listen(7, 4)], listen(9, 3)
    assert forget(shelf, USER, {0: 7}, {0: 7, 1: -1}) == (0, 1)
    assert forget(shelf, USER, {0: 7}, {0: 7, 1: -1}) == (0, 0)
    shelf.add(0, [*stale, ahead])
    assert actions_of(shelf.documents.values()) == {listen(5, 4), ahead}


def test_what_is_of_no_event_goes_too() -> None:
    shelf = MemoryShelf(TreeCapacity())
    carried = listen(6, 3, 1)._replace(kind="carried", plays=7)
    shelf.add(0, [listen(5, 4), listen(6, 3)])
    shelf.add(1, [carried, listen(7, 3, 1)])
    assert forget(shelf, USER, {0: 10, 1: -1})[0] == 2
    assert actions_of(shelf.documents.values()) == {listen(5, 4), listen(7, 3, 1)}


def test_a_large_library_goes_in_several_flushes() -> None:
    shelf = MemoryShelf(tiny())
    actions = [listen(position, 3, song=position) for position in range(3_000)]
    others = [listen(position, 4, song=position) for position in range(3_000, 3_050)]
    for start in range(0, 3_000, 500):
        shelf.add(0, actions[start : start + 500])
    shelf.add(0, others)
    removed, flushes = forget(shelf, USER, {}, is_cold=True)
    assert removed == len(actions)
    assert flushes > 1
    assert actions_of(shelf.documents.values()) == set(others)
