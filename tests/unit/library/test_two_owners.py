"""A shelf under two owners of a partition: whatever each knows and whoever comes first, every action is in it once.

Two workers believe that they own the same partitions. Each plans its flushes by what it knows of the shelf, which may
be old, and reads documents one by one while the other writes. A transaction is taken where the root is still the one
that it was planned for, as Cosmos DB does under the ETag; its answer may be lost.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct, field

from localcloud_tests.support.fuzzing import effort
from songline.processors.library.tree import FlushPlan, MissingNodes, TreeFlush, flush_sizes
from songline.schemas.library.action import UserAction, event_mark
from songline.schemas.library.node import NodeDocument, RootDocument
from tests.support.library_tree import actions_of, tiny

NOON_US = 1_764_000_000_000_000
OWNERS = PARTITIONS = st.integers(0, 1)


class Owner(Struct):
    """A worker. It knows `root` and `nodes` of the shelf (no root: it must be read), and the next position of each
    partition that it has not applied. `plan` is what it is about to write, `wants` the nodes that it must read for
    that, and `flush` the plan once it is made."""

    root: RootDocument | None = None
    nodes: dict[str, NodeDocument] = field(default_factory=dict)
    next: list[int] = field(default_factory=lambda: [0, 0])
    plan: FlushPlan | None = None
    flush: TreeFlush | None = None
    wants: frozenset[str] = frozenset()
    writes: tuple[int, int] | None = None
    """The partition and the position behind the actions of `plan`."""

    def forget(self) -> None:
        """Believe nothing of what was read, and plan anew."""
        self.root, self.nodes, self.wants = None, {}, frozenset()
        self.plan = self.flush = self.writes = None


class TwoOwners(RuleBasedStateMachine):
    """The container, the log that both read, and the two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.overtaken = 0
        self.root = RootDocument(shelf="v1-0")
        self.nodes: dict[str, NodeDocument] = {}
        self.log: list[list[UserAction]] = [[], []]
        self.owners = [Owner(), Owner()]

    @initialize()
    def there_is_a_backlog(self) -> None:
        for partition in (0, 1):
            self.events_come(partition, [(number * 7 % 31, number % 10) for number in range(80)])

    @rule(
        partition=PARTITIONS, picks=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), min_size=1, max_size=25)
    )
    def events_come(self, partition: int, picks: list[tuple[int, int]]) -> None:
        log = self.log[partition]
        for user, song in picks:
            position = len(log)
            at_us = NOON_US + position * 1_000
            mark = event_mark(f"{partition}-{position}")
            log.append(UserAction(f"user-{user}", f"song-{song}", at_us, mark, "listen", partition, position))

    @rule(number=OWNERS, partition=PARTITIONS, share=st.integers(1, 40), at_once=st.booleans())
    def plan(self, number: int, partition: int, share: int, at_once: bool) -> None:
        """By the root that it knows; one that knows none reads it first. `at_once`: and write it."""
        owner = self.owners[number]
        if owner.flush is not None:
            return
        if owner.root is None:
            owner.root = self.root
        if owner.plan is None:
            following = self.log[partition][owner.next[partition] :][:share]
            actions = following[: next(flush_sizes(following), 0)]
            owner.plan = FlushPlan(owner.root, owner.nodes, partition, actions, tiny())
            owner.writes = partition, owner.next[partition] + len(actions)
        if owner.wants:
            return
        found = owner.plan.advance()
        if isinstance(found, MissingNodes):
            owner.wants = found.ids
        elif found is None:
            self._applied(owner)
        else:
            owner.flush = found
            if at_once:
                self._commit(owner, is_lost=False)

    def _applied(self, owner: Owner) -> None:
        assert owner.writes is not None
        partition, behind = owner.writes
        owner.next[partition] = max(owner.next[partition], behind)
        owner.plan = owner.flush = owner.writes = None

    @precondition(lambda self: any(owner.wants for owner in self.owners))
    @rule(data=st.data())
    def read_nodes(self, data: st.DataObject) -> None:
        """One by one: the other may write between."""
        owner = data.draw(st.sampled_from([one for one in self.owners if one.wants]))
        node_id = data.draw(st.sampled_from(sorted(owner.wants)))
        node = self.nodes.get(node_id)
        parent = owner.root if len(node_id) == 1 else owner.nodes.get(node_id[:-1])
        least = 0 if parent is None else parent.pushed.get(node_id[-1], 0)
        if node is None or node.received < least:
            # Older than its parent.
            owner.forget()
        else:
            owner.nodes[node_id] = node
            owner.wants -= {node_id}

    @precondition(lambda self: any(owner.flush is not None for owner in self.owners))
    @rule(data=st.data(), is_lost=st.booleans())
    def write(self, data: st.DataObject, is_lost: bool) -> None:
        self._commit(data.draw(st.sampled_from([one for one in self.owners if one.flush is not None])), is_lost)

    def _commit(self, owner: Owner, is_lost: bool) -> None:
        flush, planned = owner.flush, owner.root
        assert flush is not None
        assert planned is not None
        is_taken = planned.flushes == self.root.flushes
        self.overtaken += not is_taken
        if is_taken:
            self.root = flush.root
            self.nodes |= flush.nodes
        if is_taken and not is_lost:
            self._applied(owner)
            owner.root = flush.root
            owner.nodes |= flush.nodes
        else:
            owner.forget()

    @rule(number=OWNERS, back=st.integers(0, 60))
    def start_again(self, number: int, back: int) -> None:
        """From its last checkpoint, which is behind what it had applied. Rarely, so that it gets far between."""
        if back % 4:
            return
        before = self.owners[number].next
        self.owners[number] = Owner(next=[max(0, position - back) for position in before])

    @invariant()
    def holds_what_is_applied(self) -> None:
        held = actions_of([self.root, *self.nodes.values()])
        expected = set()
        for partition, log in enumerate(self.log):
            expected.update(log[: self.root.applied.get(str(partition), -1) + 1])
        assert held == expected

    @invariant()
    def nobody_believes_too_much(self) -> None:
        for owner in self.owners:
            for partition, position in enumerate(owner.next):
                assert position <= self.root.applied.get(str(partition), -1) + 1

    def teardown(self) -> None:
        """One of them is left, and applies all that is there."""
        root, nodes = self.root, dict(self.nodes)
        for partition, log in enumerate(self.log):
            actions, is_urgent = list(log), True
            while actions or is_urgent:
                some = actions[: next(flush_sizes(actions), 0)]
                found = FlushPlan(root, nodes, partition, some, tiny()).advance()
                assert not isinstance(found, MissingNodes)
                actions = actions[len(some) :]
                is_urgent = found is not None and found.is_urgent
                if found is not None:
                    root, nodes = found.root, {**nodes, **found.nodes}
        assert actions_of([root, *nodes.values()]) == {action for log in self.log for action in log}


TestTwoOwners = TwoOwners.TestCase
TestTwoOwners.settings = effort(20, steps=120)
