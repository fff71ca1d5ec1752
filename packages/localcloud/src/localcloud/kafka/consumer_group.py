"""One consumer group: its members, and the rebalances that spread partitions over them.

It is pure: the time and the functions that reply are arguments.


The states and rules are those of Kafka's classic group protocol (KIP-62 rebalance time-outs, KIP-345 static members,
KIP-394 member ids before the first join, KIP-814 static leaders):

    Empty ─join→ PreparingRebalance ─all joined or time out→ CompletingRebalance ─leader's sync→ Stable
                        ↑────────────── member joins, leaves or falls silent ──────────────────────┘
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kio.schema.errors import ErrorCode


class GroupState(StrEnum):
    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A member's request to join. `protocols` are (name, metadata), the preferred first."""

    client_id: str
    client_host: str
    instance_id: str | None
    session_ms: int
    rebalance_ms: int
    protocol_type: str
    protocols: tuple[tuple[str, bytes], ...]

    def metadata(self, protocol: str) -> bytes:
        return dict(self.protocols).get(protocol, b"")


@dataclass(frozen=True, slots=True)
class JoinResult:
    """The response to a join. `members` are (id, instance id, metadata), and only the leader gets them."""

    error: ErrorCode
    member_id: str
    generation: int = -1
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    members: tuple[tuple[str, str | None, bytes], ...] = ()
    skip_assignment: bool = False


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The response to a sync."""

    error: ErrorCode
    assignment: bytes = b""
    protocol_type: str | None = None
    protocol: str | None = None


@dataclass(slots=True)
class GroupMember:
    id: str
    joining: JoinRequest
    deadline_ms: int
    """When the member is removed, unless it sends a request before, or waits for a response."""
    assignment: bytes = b""
    join_reply: Callable[[JoinResult], None] | None = None
    sync_reply: Callable[[SyncResult], None] | None = None

    @property
    def waiting(self) -> bool:
        return self.join_reply is not None or self.sync_reply is not None


@dataclass(slots=True)
class ConsumerGroup:
    """Call `expire` when `next_deadline_ms` has come. The `reply` of each call is called with the response."""

    id: str
    first_delay_ms: int
    """How long the first members of an empty group wait for others, so that starting together is one rebalance."""
    state: GroupState = GroupState.EMPTY
    generation: int = 0
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str | None = None
    members: dict[str, GroupMember] = field(default_factory=dict)
    _promised: dict[str, int] = field(default_factory=dict)
    _not_before_ms: int = 0
    _rebalance_deadline_ms: int = 0

    # Joining.

    def join(
        self,
        member_id: str,
        joining: JoinRequest,
        now_ms: int,
        reply: Callable[[JoinResult], None],
        *,
        new_id: Callable[[], str],
        id_first: bool,
    ) -> None:
        """Add a member, or let one join again. `id_first`: its version expects to get its id before it is a member."""
        if not self._is_compatible(member_id, joining):
            reply(JoinResult(ErrorCode.inconsistent_group_protocol, member_id))
            return
        if joining.instance_id is not None and (static := self._static_member(joining.instance_id)):
            if not member_id:
                self._replace_static(static, joining, new_id(), now_ms, reply)
                return
            if static.id != member_id:
                reply(JoinResult(ErrorCode.fenced_instance_id, member_id))
                return
        if not member_id and joining.instance_id is None and id_first:
            promised = new_id()
            self._promised[promised] = now_ms + joining.session_ms
            reply(JoinResult(ErrorCode.member_id_required, promised))
        elif not member_id:
            self._add(GroupMember(new_id(), joining, now_ms + joining.session_ms), now_ms, reply)
        elif member_id in self._promised:
            del self._promised[member_id]
            self._add(GroupMember(member_id, joining, now_ms + joining.session_ms), now_ms, reply)
        elif member_id in self.members:
            self._rejoin(self.members[member_id], joining, now_ms, reply)
        else:
            reply(JoinResult(ErrorCode.unknown_member_id, member_id))

    def _is_compatible(self, member_id: str, joining: JoinRequest) -> bool:
        """Whether the request has the group's protocol type, and a protocol that every other member has."""
        if not joining.protocol_type or not joining.protocols:
            return False
        others = [member for member in self.members.values() if member.id != member_id]
        if not others:
            return True
        common = set.intersection(*({name for name, _ in member.joining.protocols} for member in others))
        return self.protocol_type == joining.protocol_type and bool(common & {name for name, _ in joining.protocols})

    def _static_member(self, instance_id: str) -> GroupMember | None:
        return next((m for m in self.members.values() if m.joining.instance_id == instance_id), None)

    def _add(self, member: GroupMember, now_ms: int, reply: Callable[[JoinResult], None]) -> None:
        self.members[member.id] = member
        self.protocol_type = member.joining.protocol_type
        self._wait_for_join(member, member.joining, now_ms, reply)
        self._prepare(now_ms)

    def _rejoin(
        self, member: GroupMember, joining: JoinRequest, now_ms: int, reply: Callable[[JoinResult], None]
    ) -> None:
        changed = member.joining.protocols != joining.protocols
        if self.state is GroupState.COMPLETING and not changed:
            reply(self._joined(member))  # its response was lost
        elif self.state is GroupState.STABLE and not changed and member.id != self.leader:
            member.joining = joining
            reply(self._joined(member))
        else:
            self._wait_for_join(member, joining, now_ms, reply)
            self._prepare(now_ms)

    def _replace_static(
        self, old: GroupMember, joining: JoinRequest, new_id: str, now_ms: int, reply: Callable[[JoinResult], None]
    ) -> None:
        """Give a static member a new id: the old id is fenced, the assignment stays (KIP-345)."""
        if old.join_reply:
            old.join_reply(JoinResult(ErrorCode.fenced_instance_id, old.id))
        if old.sync_reply:
            old.sync_reply(SyncResult(ErrorCode.fenced_instance_id))
        member = GroupMember(new_id, joining, now_ms + joining.session_ms, old.assignment)
        self.members = {m.id: m for m in (member if m is old else m for m in self.members.values())}
        was_leader = self.leader == old.id
        if was_leader:
            self.leader = new_id
        same = self.protocol is not None and joining.metadata(self.protocol) == old.joining.metadata(self.protocol)
        if self.state is GroupState.STABLE and same:
            reply(self._joined(member, skip_assignment=was_leader))
        else:
            self._wait_for_join(member, joining, now_ms, reply)
            self._prepare(now_ms)

    def _wait_for_join(
        self, member: GroupMember, joining: JoinRequest, now_ms: int, reply: Callable[[JoinResult], None]
    ) -> None:
        if member.join_reply is not None:  # an earlier request, on a connection that is closed
            member.join_reply(JoinResult(ErrorCode.rebalance_in_progress, member.id))
        member.joining = joining
        member.join_reply = reply
        member.deadline_ms = now_ms + joining.session_ms

    # Rebalancing.

    def _prepare(self, now_ms: int) -> None:
        if self.state is not GroupState.PREPARING:
            self._not_before_ms = now_ms + (self.first_delay_ms if self.state is GroupState.EMPTY else 0)
            for member in self.members.values():
                if member.sync_reply:
                    member.sync_reply(SyncResult(ErrorCode.rebalance_in_progress))
                    member.sync_reply = None
                    member.deadline_ms = now_ms + member.joining.session_ms
            self.state = GroupState.PREPARING
            self._rebalance_deadline_ms = now_ms + max(m.joining.rebalance_ms for m in self.members.values())
        self._try_complete(now_ms)

    def _try_complete(self, now_ms: int) -> None:
        if self.state is not GroupState.PREPARING:
            return
        all_joined = not self._promised and all(member.join_reply for member in self.members.values())
        if (all_joined and now_ms >= self._not_before_ms) or now_ms >= self._rebalance_deadline_ms:
            self._complete(now_ms)

    def _complete(self, now_ms: int) -> None:
        """Start a new generation of the members that joined; static members may join until their session ends."""
        self.members = {m.id: m for m in self.members.values() if m.join_reply or m.joining.instance_id is not None}
        self.generation += 1
        joined = [member for member in self.members.values() if member.join_reply]
        if not joined:
            self._empty()
            return
        self.protocol = self._vote()
        if self.leader not in {member.id for member in joined}:
            self.leader = joined[0].id
        self.state = GroupState.COMPLETING
        for member in joined:
            reply, member.join_reply = member.join_reply, None
            member.assignment = b""
            member.deadline_ms = now_ms + member.joining.session_ms
            assert reply
            reply(self._joined(member))

    def _vote(self) -> str:
        """The protocol that most members prefer, of those that all have."""
        common = set.intersection(*({name for name, _ in m.joining.protocols} for m in self.members.values()))
        votes = Counter(
            next(name for name, _ in member.joining.protocols if name in common) for member in self.members.values()
        )
        return votes.most_common(1)[0][0]

    def _joined(self, member: GroupMember, *, skip_assignment: bool = False) -> JoinResult:
        assert self.protocol is not None
        members: tuple[tuple[str, str | None, bytes], ...] = ()
        if member.id == self.leader:
            members = tuple(
                (m.id, m.joining.instance_id, m.joining.metadata(self.protocol)) for m in self.members.values()
            )
        return JoinResult(
            ErrorCode.none,
            member.id,
            self.generation,
            self.protocol_type,
            self.protocol,
            self.leader or "",
            members,
            skip_assignment,
        )

    def _empty(self) -> None:
        self.state = GroupState.EMPTY
        self.leader = self.protocol = None
        self.members = {}

    def sync(
        self,
        member_id: str,
        instance_id: str | None,
        generation: int,
        protocol_type: str | None,
        protocol: str | None,
        assignments: Iterable[tuple[str, bytes]],
        now_ms: int,
        reply: Callable[[SyncResult], None],
    ) -> None:
        """Take all assignments from the leader; the other members wait for theirs."""
        error = self.check(member_id, instance_id, generation)
        if error is ErrorCode.none and (
            protocol_type not in (None, self.protocol_type) or protocol not in (None, self.protocol)
        ):
            error = ErrorCode.inconsistent_group_protocol
        if error is ErrorCode.none and self.state is GroupState.PREPARING:
            error = ErrorCode.rebalance_in_progress
        if error is not ErrorCode.none:
            reply(SyncResult(error))
            return
        member = self.members[member_id]
        member.deadline_ms = now_ms + member.joining.session_ms
        if self.state is GroupState.STABLE:
            reply(SyncResult(ErrorCode.none, member.assignment, self.protocol_type, self.protocol))
            return
        if member.sync_reply is not None:  # as with joins: an earlier request
            member.sync_reply(SyncResult(ErrorCode.rebalance_in_progress))
        member.sync_reply = reply
        if member_id == self.leader:
            self._assign(dict(assignments), now_ms)

    def _assign(self, assignments: Mapping[str, bytes], now_ms: int) -> None:
        self.state = GroupState.STABLE
        for member in self.members.values():
            member.assignment = assignments.get(member.id, b"")
            if member.sync_reply:
                member.deadline_ms = now_ms + member.joining.session_ms
                member.sync_reply(SyncResult(ErrorCode.none, member.assignment, self.protocol_type, self.protocol))
                member.sync_reply = None

    # Staying and leaving.

    def check(self, member_id: str, instance_id: str | None, generation: int) -> ErrorCode:
        """The error of a request that is not of a member of the current generation; none if it is."""
        if instance_id is not None:
            static = self._static_member(instance_id)
            if static is not None and static.id != member_id:
                return ErrorCode.fenced_instance_id
        if member_id not in self.members:
            return ErrorCode.unknown_member_id
        return ErrorCode.none if generation == self.generation else ErrorCode.illegal_generation

    def heartbeat(self, member_id: str, instance_id: str | None, generation: int, now_ms: int) -> ErrorCode:
        error = self.check(member_id, instance_id, generation)
        if error is ErrorCode.none:
            member = self.members[member_id]
            member.deadline_ms = now_ms + member.joining.session_ms
            if self.state is GroupState.PREPARING:
                return ErrorCode.rebalance_in_progress
        return error

    def may_commit(self, member_id: str, instance_id: str | None, generation: int, now_ms: int) -> ErrorCode:
        """The error of a commit; none for members of the current generation, and while the group has no members for
        clients without a generation (below 0)."""
        if generation < 0 and not member_id and not self.members:
            return ErrorCode.none
        error = self.check(member_id, instance_id, generation)
        if error is ErrorCode.none:
            member = self.members[member_id]
            member.deadline_ms = now_ms + member.joining.session_ms
            if self.state is GroupState.COMPLETING:
                return ErrorCode.rebalance_in_progress
        return error

    def leave(self, member_id: str, instance_id: str | None, now_ms: int) -> ErrorCode:
        if instance_id is not None:
            static = self._static_member(instance_id)
            if static is None:
                return ErrorCode.unknown_member_id
            if member_id not in ("", static.id):
                return ErrorCode.fenced_instance_id
            member_id = static.id
        if self._promised.pop(member_id, None) is not None:
            self._try_complete(now_ms)
            return ErrorCode.none
        if member_id not in self.members:
            return ErrorCode.unknown_member_id
        self._remove(self.members[member_id], now_ms)
        return ErrorCode.none

    def _remove(self, member: GroupMember, now_ms: int) -> None:
        del self.members[member.id]
        if member.join_reply:
            member.join_reply(JoinResult(ErrorCode.unknown_member_id, member.id))
        if member.sync_reply:
            member.sync_reply(SyncResult(ErrorCode.unknown_member_id))
        if self.leader == member.id:
            self.leader = None
        if not self.members:
            self.generation += 1
            self._empty()
        else:
            self._prepare(now_ms)

    # Time.

    def next_deadline_ms(self) -> int | None:
        """When `expire` must be called next, if nothing else happens; None for never."""
        deadlines = [member.deadline_ms for member in self.members.values() if not member.waiting]
        deadlines += self._promised.values()
        if self.state is GroupState.PREPARING:
            deadlines.append(self._rebalance_deadline_ms)
            if all(member.join_reply for member in self.members.values()) and not self._promised:
                deadlines.append(self._not_before_ms)
        return min(deadlines, default=None)

    def expire(self, now_ms: int) -> None:
        """Remove the members whose sessions have ended, and complete a rebalance whose time-out has come."""
        self._promised = {promised: until for promised, until in self._promised.items() if until > now_ms}
        for member in list(self.members.values()):
            if member.id in self.members and not member.waiting and member.deadline_ms <= now_ms:
                self._remove(member, now_ms)
        self._try_complete(now_ms)
