"""The group's states and rules, with time and answers in the test's hand."""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kio.schema.errors import ErrorCode

from localcloud.kafka.consumer_group import ConsumerGroup, GroupState, JoinRequest, JoinResult, SyncResult
from localcloud_tests.support.fuzzing import effort

SESSION, REBALANCE, DELAY = 1000, 5000, 100


def joining(
    instance: str | None = None,
    protocols: tuple[tuple[str, bytes], ...] = (("range", b"m"),),
    protocol_type: str = "consumer",
) -> JoinRequest:
    return JoinRequest("client", "127.0.0.1", instance, SESSION, REBALANCE, protocol_type, protocols)


class Scene:
    """A group, a clock and what its members were answered."""

    def __init__(self, delay_ms: int = DELAY) -> None:
        self.group = ConsumerGroup("g", delay_ms)
        self.now = 0
        self.names = (f"m{number}" for number in range(10_000))
        self.joined: list[JoinResult] = []
        self.synced: list[SyncResult] = []

    def join(self, member_id: str = "", who: JoinRequest | None = None, *, id_first: bool = False) -> list[JoinResult]:
        """Where this join's answer will be."""
        answers: list[JoinResult] = []
        self.group.join(
            member_id, who or joining(), self.now, answers.append, new_id=lambda: next(self.names), id_first=id_first
        )
        return answers

    def sync(
        self, answer: JoinResult, assignments: dict[str, bytes] | None = None, instance: str | None = None
    ) -> list[SyncResult]:
        answers: list[SyncResult] = []
        self.group.sync(
            answer.member_id, instance, answer.generation, "consumer", answer.protocol,
            (assignments or {}).items(), self.now, answers.append,
        )  # fmt: skip
        return answers

    def later(self, ms: int) -> None:
        """Time passes, and every deadline on the way is kept."""
        end = self.now + ms
        while (deadline := self.group.next_deadline_ms()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.group.expire(self.now)
        self.now = end

    def beat(self, answer: JoinResult, instance: str | None = None) -> ErrorCode:
        return self.group.heartbeat(answer.member_id, instance, answer.generation, self.now)

    def settled(self, count: int) -> list[JoinResult]:
        """That many members, joined and synced."""
        waiting = [self.join() for _ in range(count)]
        self.later(DELAY)
        answers = [answer for (answer,) in waiting]
        leader = next(answer for answer in answers if answer.members)
        shares = {member_id: member_id.encode() for member_id, *_ in leader.members}
        for answer in answers:
            if answer is not leader:
                self.sync(answer)
        self.sync(leader, shares)
        assert self.group.state is GroupState.STABLE
        return answers


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_members_that_start_together_are_one_generation(scene: Scene) -> None:
    first, second = scene.join(), scene.join()
    assert (first, second, scene.group.state) == ([], [], GroupState.PREPARING)
    scene.later(DELAY)
    assert scene.group.state is GroupState.COMPLETING
    assert (first[0].generation, second[0].generation) == (1, 1)
    assert first[0].leader == second[0].leader == first[0].member_id
    assert [member[0] for member in first[0].members] == ["m0", "m1"]
    assert second[0].members == ()


def test_the_leader_hands_out_the_work(scene: Scene) -> None:
    first, second = scene.join(), scene.join()
    scene.later(DELAY)
    waiting = scene.sync(second[0])
    assert waiting == []
    (leaders,) = scene.sync(first[0], {"m0": b"zero", "m1": b"one"})
    assert (leaders.assignment, waiting[0].assignment) == (b"zero", b"one")
    assert scene.group.state is GroupState.STABLE
    assert scene.sync(second[0])[0].assignment == b"one"
    assert scene.beat(second[0]) is ErrorCode.none


def test_a_newcomer_starts_a_rebalance_and_the_others_learn_of_it(scene: Scene) -> None:
    first, second = scene.settled(2)
    third = scene.join()
    assert scene.beat(first) is ErrorCode.rebalance_in_progress
    again = [scene.join(first.member_id), scene.join(second.member_id)]
    assert [answers[0].generation for answers in again] == [2, 2]
    assert third[0].generation == 2
    assert scene.beat(first) is ErrorCode.illegal_generation
    assert scene.sync(first)[0].error is ErrorCode.illegal_generation


def test_who_does_not_come_back_is_left_behind(scene: Scene) -> None:
    first, second = scene.settled(2)
    third = scene.join()
    scene.join(first.member_id)
    for _ in range(REBALANCE // 500 + 1):
        scene.later(500)
        scene.beat(second)
    assert third[0].generation == 2
    assert second.member_id not in scene.group.members
    assert scene.beat(second) is ErrorCode.unknown_member_id


def test_who_falls_silent_is_given_up(scene: Scene) -> None:
    first, second = scene.settled(2)
    scene.later(SESSION - 1)
    assert scene.beat(first) is ErrorCode.none
    scene.later(2)
    assert set(scene.group.members) == {first.member_id}
    assert scene.beat(first) is ErrorCode.rebalance_in_progress
    (again,) = scene.join(first.member_id)
    assert (again.generation, len(again.members)) == (2, 1)
    scene.later(SESSION + 1)
    assert (scene.group.state, scene.group.members) == (GroupState.EMPTY, {})
    assert second.error is ErrorCode.none


def test_a_leader_that_never_syncs_is_given_up(scene: Scene) -> None:
    first, second = scene.join(), scene.join()
    scene.later(DELAY)
    waiting = scene.sync(second[0])
    scene.later(SESSION + 1)
    assert waiting[0].error is ErrorCode.rebalance_in_progress
    (again,) = scene.join(second[0].member_id)
    assert again.leader == second[0].member_id
    assert first[0].member_id not in scene.group.members


def test_leaving_makes_room_at_once(scene: Scene) -> None:
    first, second = scene.settled(2)
    assert scene.group.leave(first.member_id, None, scene.now) is ErrorCode.none
    assert scene.beat(second) is ErrorCode.rebalance_in_progress
    assert scene.join(second.member_id)[0].leader == second.member_id
    assert scene.group.leave(first.member_id, None, scene.now) is ErrorCode.unknown_member_id
    assert scene.group.leave(second.member_id, None, scene.now) is ErrorCode.none
    assert scene.group.state is GroupState.EMPTY


def test_an_id_first(scene: Scene) -> None:
    (told,) = scene.join(id_first=True)
    assert told.error is ErrorCode.member_id_required
    assert scene.group.members == {}
    waiting = scene.join(told.member_id, id_first=True)
    scene.later(DELAY)
    assert waiting[0].member_id == told.member_id


def test_an_id_that_is_never_used_expires(scene: Scene) -> None:
    (told,) = scene.join(id_first=True)
    scene.later(SESSION + 1)
    assert scene.group.next_deadline_ms() is None
    assert scene.join(told.member_id)[0].error is ErrorCode.unknown_member_id


def test_a_follower_that_rejoins_unchanged_disturbs_nobody(scene: Scene) -> None:
    leader, follower = scene.settled(2)
    (again,) = scene.join(follower.member_id)
    assert (again.generation, scene.group.state) == (1, GroupState.STABLE)
    assert scene.join(leader.member_id) == []
    assert scene.group.state is GroupState.PREPARING


def test_a_changed_subscription_starts_a_rebalance(scene: Scene) -> None:
    _, follower = scene.settled(2)
    scene.join(follower.member_id, joining(protocols=(("range", b"other"),)))
    assert scene.group.state is GroupState.PREPARING


def test_a_lost_answer_is_given_again(scene: Scene) -> None:
    first = scene.join()
    scene.later(DELAY)
    assert scene.join(first[0].member_id) == first


def test_the_protocol_most_prefer_among_those_all_know(scene: Scene) -> None:
    both = (("sticky", b""), ("range", b""))
    waiting = [scene.join(who=joining(protocols=both)), scene.join(who=joining(protocols=(("range", b""),)))]
    scene.later(DELAY)
    assert waiting[0][0].protocol == "range"


@pytest.mark.parametrize(
    "who",
    [
        joining(protocols=(("other", b""),)),
        joining(protocol_type="connect"),
        joining(protocols=()),
        joining(protocol_type=""),
    ],
    ids=["protocol", "type", "none", "empty"],
)
def test_who_does_not_fit_in_is_refused(scene: Scene, who: JoinRequest) -> None:
    scene.settled(1)
    assert scene.join(who=who)[0].error is ErrorCode.inconsistent_group_protocol
    assert scene.group.state is GroupState.STABLE


def test_a_static_member_comes_back_to_its_work_without_a_rebalance(scene: Scene) -> None:
    first, second = scene.join(who=joining("a")), scene.join(who=joining("b"))
    scene.later(DELAY)
    scene.sync(second[0], instance="b")
    scene.sync(first[0], {"m0": b"zero", "m1": b"one"}, "a")
    (back,) = scene.join(who=joining("b"))
    assert (back.error, back.generation, scene.group.state) == (ErrorCode.none, 1, GroupState.STABLE)
    assert back.member_id != second[0].member_id
    assert scene.sync(back, instance="b")[0].assignment == b"one"
    assert scene.beat(second[0], "b") is ErrorCode.fenced_instance_id
    assert scene.join(second[0].member_id, joining("b"))[0].error is ErrorCode.fenced_instance_id
    (leader,) = scene.join(who=joining("a"))
    assert (leader.leader, leader.skip_assignment) == (leader.member_id, True)


def test_a_static_member_is_removed_by_its_name(scene: Scene) -> None:
    scene.join(who=joining("a"))
    scene.later(DELAY)
    assert scene.group.leave("", "nobody", scene.now) is ErrorCode.unknown_member_id
    assert scene.group.leave("wrong", "a", scene.now) is ErrorCode.fenced_instance_id
    assert scene.group.leave("", "a", scene.now) is ErrorCode.none
    assert scene.group.state is GroupState.EMPTY


def test_who_may_commit(scene: Scene) -> None:
    def may(member_id: str, generation: int) -> ErrorCode:
        return scene.group.may_commit(member_id, None, generation, scene.now)

    assert may("", -1) is ErrorCode.none
    (first,) = scene.settled(1)
    assert may("", -1) is ErrorCode.unknown_member_id
    assert may(first.member_id, 1) is ErrorCode.none
    assert may(first.member_id, 0) is ErrorCode.illegal_generation
    assert may("stranger", 1) is ErrorCode.unknown_member_id
    scene.join()
    assert may(first.member_id, 1) is ErrorCode.none
    (again,) = scene.join(first.member_id)
    assert may(first.member_id, again.generation) is ErrorCode.rebalance_in_progress


class ManyMembers(RuleBasedStateMachine):
    """Members that join, sync, beat, leave and fall silent in any order: the group always comes to rest again."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene()
        self.waiting: list[tuple[list[JoinResult], list[list[SyncResult]]]] = []

    @rule(static=st.sampled_from([None, None, "a", "b"]), id_first=st.booleans())
    def join(self, static: str | None, id_first: bool) -> None:
        self.waiting.append((self.scene.join(who=joining(static), id_first=id_first), []))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def rejoin(self, data: Any) -> None:
        answers, _ = data.draw(st.sampled_from(self.waiting))
        if answers:
            self.waiting.append((self.scene.join(answers[-1].member_id), []))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def sync(self, data: Any) -> None:
        answers, syncs = data.draw(st.sampled_from(self.waiting))
        if answers:
            syncs.append(self.scene.sync(answers[0], {member: b"x" for member, *_ in answers[0].members}))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        answers, _ = data.draw(st.sampled_from(self.waiting))
        if answers:
            self.scene.group.leave(answers[0].member_id, None, self.scene.now)

    @rule(ms=st.integers(0, 3000))
    def time_passes(self, ms: int) -> None:
        self.scene.later(ms)

    @invariant()
    def states_agree(self) -> None:
        group = self.scene.group
        assert (group.state is GroupState.EMPTY) == (not group.members)
        if group.state in (GroupState.STABLE, GroupState.COMPLETING):
            assert not any(member.join_reply for member in group.members.values())
        if group.state is GroupState.STABLE:
            assert not any(member.sync_reply for member in group.members.values())
        assert all(len(answers) <= 1 for answers, _ in self.waiting)
        instances = [m.joining.instance_id for m in group.members.values() if m.joining.instance_id]
        assert len(instances) == len(set(instances))

    def teardown(self) -> None:
        """Left alone, everybody is answered and given up in the end."""
        self.scene.later(10 * (REBALANCE + SESSION))
        assert self.scene.group.state is GroupState.EMPTY
        assert self.scene.group.next_deadline_ms() is None
        assert all(len(answers) == 1 for answers, _ in self.waiting)
        assert all(len(answers) == 1 for _, syncs in self.waiting for answers in syncs)


TestManyMembers = ManyMembers.TestCase
TestManyMembers.settings = effort(80, steps=25)
