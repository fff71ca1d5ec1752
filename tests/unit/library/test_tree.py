"""The tree of a shelf, held to a plain set of actions: nothing is lost, whatever comes in whatever pieces."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from songline.processors.library import tree
from songline.processors.library.tree import (
    MAX_NODE_BYTES,
    MAX_TRANSACTION_BYTES,
    FlushPlan,
    MissingNodes,
    TreeCapacity,
    TreeFlush,
    append_run,
    runs_bytes,
)
from songline.schemas.library.action import UserAction, event_mark, merge_actions
from songline.schemas.library.action_run import decode_run, encode_run
from songline.schemas.library.node import NodeDocument, RootDocument, TreeDocument, torn_reads
from songline.schemas.library.shelf import ROOT, action_key, is_on_path, path_of
from tests.support.library_tree import MemoryShelf, actions_of, tiny

NOON_US = 1_764_000_000_000_000


def listen(position: int, user: int, song: int, partition: int = 0) -> UserAction:
    at_us = NOON_US + position * 1_000
    return UserAction(f"user-{user}", f"song-{song}", at_us, event_mark(str(position)), "listen", partition, position)


PIECES = st.lists(
    st.tuples(st.integers(0, 1), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=30)), max_size=12
)


def logs(pieces: list[tuple[int, list[tuple[int, int]]]]) -> list[tuple[int, list[UserAction]]]:
    """The pieces as actions, each partition with positions that rise."""
    found, positions = [], [0, 0]
    for partition, picks in pieces:
        actions = []
        for user, song in picks:
            positions[partition] += 1
            actions.append(listen(positions[partition], user, song, partition))
        found.append((partition, actions))
    return found


@settings(deadline=None)
@given(PIECES, st.booleans(), st.integers(0, 12))
def test_a_tree_holds_what_was_added(
    pieces: list[tuple[int, list[tuple[int, int]]]], is_cold: bool, again: int
) -> None:
    shelf, log = MemoryShelf(tiny(), is_cold=is_cold), logs(pieces)
    for number, (partition, actions) in enumerate(log):
        shelf.add(partition, actions)
        if number == again:
            flushes = shelf.root.flushes
            for earlier, same in log[: number + 1]:
                shelf.add(earlier, same)
            assert actions_of(shelf.documents.values()) == {one for _, some in log[: number + 1] for one in some}
            assert shelf.root.flushes == flushes or shelf.history[-1].nodes, "applied again, nothing is added"
    added = {action for _, actions in log for action in actions}
    assert actions_of(shelf.documents.values()) == added
    for node_id, node in shelf.nodes.items():
        assert all(action_key(action).startswith(node_id) for action in actions_of([node]))
    for partition in (0, 1):
        applied = max((action.position for action in added if action.partition == partition), default=None)
        assert shelf.root.applied.get(str(partition)) == applied
    assert len(merge_actions([added])) == len(added)


@settings(deadline=None)
@given(PIECES, st.data())
def test_a_reader_between_flushes_misses_nothing(
    pieces: list[tuple[int, list[tuple[int, int]]]], data: st.DataObject
) -> None:
    """Nodes are read one by one, in any order, and between two reads the tree goes on; what is torn is read again."""
    shelf, log, user = MemoryShelf(tiny()), logs(pieces), "user-3"
    versions: list[dict[str, TreeDocument]] = [shelf.documents]
    for partition, actions in log:
        shelf.add(partition, actions)
        versions.append(shelf.documents)
    at = data.draw(st.integers(0, len(versions) - 1))
    before = actions_of(versions[at].values(), user)
    wanted = sorted({node_id for version in versions for node_id in version if is_on_path(node_id, user)})
    todo, found = data.draw(st.permutations(wanted)), dict[str, TreeDocument]()
    while todo:
        for node_id in todo:
            if node_id in versions[at]:
                found[node_id] = versions[at][node_id]
            at = min(len(versions) - 1, at + data.draw(st.integers(0, 2)))
        todo = sorted(torn_reads(found, user)) if ROOT in found else [ROOT]
    assert before <= actions_of(found.values(), user)


def test_a_listener_of_fifty_thousand_songs() -> None:
    """Their actions are in many documents, none of them large."""
    shelf = MemoryShelf(TreeCapacity())
    for start in range(0, 50_000, 12_500):
        shelf.add(0, [listen(start + number, 7, start + number) for number in range(12_500)])
    largest = max(runs_bytes(node.runs) for node in shelf.documents.values())
    assert largest <= MAX_NODE_BYTES
    assert len(actions_of(shelf.documents.values())) == 50_000
    assert {node_id for node_id in shelf.documents if len(node_id) <= 6} == set(path_of("user-7"))
    assert largest_batch(shelf) <= MAX_TRANSACTION_BYTES + 100_000


def test_one_song_again_and_again_under_one_id() -> None:
    """A sender that gives every event the same id can't make a document too large either."""
    shelf = MemoryShelf(TreeCapacity(root=4_000, root_busy=8_000, inner=6_000, leaf=5_000))
    for start in range(0, 8_000, 500):
        shelf.add(0, [listen(start + number, 7, 1)._replace(mark=5) for number in range(500)])
    assert len(actions_of(shelf.documents.values())) == 8_000
    assert max(runs_bytes(node.runs) for node in shelf.documents.values()) < 40_000


def test_a_flush_with_the_longest_ids_fits_into_a_transaction() -> None:
    shelf = MemoryShelf(TreeCapacity())
    long = "".join(chr(33 + number % 90) for number in range(110))
    for start in range(0, 9_000, 3_000):
        picks = range(start, start + 3_000)
        shelf.add(0, [listen(n, 0, 0)._replace(user_id=f"{n}{long}", song_id=f"{long}{n * 7}") for n in picks])
    assert len(actions_of(shelf.documents.values())) == 9_000
    assert largest_batch(shelf) <= MAX_TRANSACTION_BYTES + 100_000


def test_what_one_writer_leaves_too_full_the_next_one_pushes_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is overtaken, as where two share a shelf, begins with what the documents say."""
    monkeypatch.setattr(tree, "MAX_TRANSACTION_BYTES", 12_000)
    shelf = MemoryShelf(tiny())
    for start in range(0, 1_500, 50):
        shelf.flush(0, [listen(start + number, start + number, 1) for number in range(50)])
    assert len(shelf.root.overfull) > 1
    writer = MemoryShelf(tiny(), is_cold=True)
    writer.root = msgspec.convert(msgspec.to_builtins(shelf.root), RootDocument)
    writer.nodes = shelf.nodes
    while writer.root.overfull:
        flushes = writer.root.flushes
        writer.flush(0, [])
        assert writer.root.flushes > flushes
    # Nodes take up to half more than the capacity.
    assert max(runs_bytes(node.runs) for node in writer.documents.values()) <= 750
    assert len(actions_of(writer.documents.values())) == 1_500


def test_nodes_of_a_level_are_full_at_sizes_of_their_own() -> None:
    """Hashes put as much into each of them: at one size, all would be pushed down in the same flushes."""
    shelf = MemoryShelf(TreeCapacity(root=2_000, root_busy=2_000, inner=6_000, leaf=6_000))
    largest: dict[str, int] = {}
    for start in range(0, 10_000, 50):
        shelf.add(0, [listen(start + number, start + number, start + number) for number in range(50)])
        leaves = [node for node in shelf.nodes.values() if len(node.id) == 1 and not node.pushed]
        largest |= {node.id: runs_bytes(node.runs) for node in leaves}
    assert len(largest) == 16
    assert not leaves
    assert max(largest.values()) > 1.5 * min(largest.values())


def test_a_plan_that_had_to_wait_for_nodes_unpacks_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: Counter[str] = Counter()
    shelf = MemoryShelf(tiny(), is_cold=True)
    for start in range(0, 3_000, 100):
        shelf.add(0, [listen(start + number, start + number, 1) for number in range(100)])
    asked: list[int] = []

    def count(run: str) -> list[UserAction]:
        unpacked[run] += 1
        return decode_run(run)

    monkeypatch.setattr(tree, "decode_run", count)
    nodes: dict[str, NodeDocument] = {}
    plan = FlushPlan(shelf.root, nodes, 0, [listen(9_000 + number, number, 2) for number in range(300)], tiny())
    while isinstance(planned := plan.advance(), MissingNodes):
        asked.append(len(planned.ids))
        nodes.update({node_id: shelf.nodes[node_id] for node_id in planned.ids})
    assert len(asked) > 1, "it waited at more than one level"
    assert isinstance(planned, TreeFlush)
    assert len(planned.nodes) > 10
    assert unpacked.most_common(1)[0][1] == 1


@pytest.mark.parametrize("users", [1, 50, 5_000])
def test_copies_in_other_flushes_are_dropped_where_they_meet(users: int) -> None:
    """An event that was sent twice is one action once both copies are in a leaf."""
    shelf = MemoryShelf(tiny())
    for start in (0, 1_000):
        shelf.add(0, [listen(n, n % users, n)._replace(position=n + start) for n in range(1_000)])
    assert len(actions_of(shelf.documents.values())) == 1_000
    stored = sum(len(decode_run(run)) for node in shelf.documents.values() for run in node.runs)
    assert stored < 1_900


def test_large_runs_are_left_as_they_are_until_a_push() -> None:
    """Texts that are no runs can't be unpacked: nothing tries to."""
    large = ("!" * 3_000,) * 20
    runs = (*large, *(encode_run([listen(number, 1, number)]) for number in range(6)))
    merged = append_run(runs, encode_run([listen(9, 1, 9)]))
    assert merged[:20] == large
    assert [decode_run(run) for run in merged[20:]] == [
        [*(listen(number, 1, number) for number in range(6)), listen(9, 1, 9)]
    ]
    assert append_run(large, "!") == (*large, "!")


def test_a_node_for_which_there_is_no_room_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three nodes are full, and a transaction takes the children of one, and a part of the next one's."""
    monkeypatch.setattr(tree, "MAX_OPERATIONS", 20)
    unpacked: Counter[str] = Counter()

    def count(run: str) -> list[UserAction]:
        unpacked[run] += 1
        return decode_run(run)

    monkeypatch.setattr(tree, "decode_run", count)
    rows: dict[str, list[UserAction]] = {}
    for number in range(3_000):
        action = listen(number, number, number)
        rows.setdefault(action_key(action)[0], []).append(action)
    nodes = {
        digit: NodeDocument(id=digit, shelf="v1-0", received=1, runs=(encode_run(merge_actions([some])),))
        for digit, some in rows.items()
        if digit in "abc"
    }
    root = RootDocument(shelf="v1-0", flushes=1, pushed=dict.fromkeys(nodes, 1), overfull=tuple(nodes))
    flush = FlushPlan(root, nodes, 0, [], tiny()).advance()
    assert isinstance(flush, TreeFlush)
    assert len(flush.nodes) == 17, "a node and its children"
    assert len(flush.root.overfull) >= 2, "the others wait"
    assert unpacked.total() == 1


def largest_batch(shelf: MemoryShelf) -> int:
    """The bytes of the largest transaction."""
    return max(
        len(msgspec.json.encode(flush.root)) + sum(len(msgspec.json.encode(node)) for node in flush.nodes.values())
        for flush in shelf.history
    )


def test_a_node_says_what_it_received() -> None:
    shelf = MemoryShelf(tiny())
    shelf.add(0, [listen(number, number, 1) for number in range(200)])
    for node_id, node in shelf.documents.items():
        for digit, flush in node.pushed.items():
            child = shelf.nodes[digit if node_id == ROOT else node_id + digit]
            assert isinstance(child, NodeDocument)
            assert child.received == flush
