"""The group coordinator: Kafka's membership requests to and from `ConsumerGroup`, with clocks and timers."""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from kio.schema.errors import ErrorCode
from kio.schema.heartbeat.v4 import HeartbeatRequest, HeartbeatResponse
from kio.schema.join_group.v9 import JoinGroupRequest, JoinGroupResponse
from kio.schema.join_group.v9.response import JoinGroupResponseMember
from kio.schema.leave_group import v2 as leave_v2
from kio.schema.leave_group.v5 import LeaveGroupRequest, LeaveGroupResponse
from kio.schema.leave_group.v5.response import MemberResponse
from kio.schema.offset_commit.v8 import OffsetCommitRequest
from kio.schema.sync_group.v5 import SyncGroupRequest, SyncGroupResponse

from localcloud.kafka.consumer_group import ConsumerGroup, JoinRequest, JoinResult, SyncResult
from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, may_read
from localcloud.kafka.primitives import NO_THROTTLE, i32, milliseconds

_T = TypeVar("_T")

MAX_GROUP_ID = 256
SESSION_MS = (6_000, 300_000)
FIRST_REBALANCE_DELAY_MS = 50


class GroupCoordinator:
    """All groups of the namespace: as on Event Hubs, a group id spans every hub.

    `groups`: those that have members, or members about to join, by id. Other groups have committed offsets alone.
    """

    def __init__(
        self,
        namespace: KafkaNamespace,
        new_member_id: Callable[[str], str],
        session_ms: tuple[int, int] = SESSION_MS,
    ) -> None:
        self._namespace = namespace
        self._new_member_id = new_member_id
        self._session_ms = session_ms
        self._groups: dict[str, ConsumerGroup] = {}
        self.groups: Mapping[str, ConsumerGroup] = MappingProxyType(self._groups)
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    async def join(self, client: KafkaClient, request: JoinGroupRequest, version: int) -> JoinGroupResponse:
        error = group_id_error(request.group_id)
        session_ms = milliseconds(request.session_timeout)
        rebalance_ms = milliseconds(request.rebalance_timeout)
        if error is ErrorCode.none and not self._session_ms[0] <= session_ms <= self._session_ms[1]:
            error = ErrorCode.invalid_session_timeout
        if error is ErrorCode.none and not may_read(self._namespace, client):
            error = ErrorCode.group_authorization_failed
        if error is not ErrorCode.none:
            return _join_response(JoinResult(error, request.member_id), version)
        joining = JoinRequest(
            client.id,
            client.host,
            request.group_instance_id,
            session_ms,
            rebalance_ms if rebalance_ms > 0 else session_ms,
            request.protocol_type,
            tuple((protocol.name, protocol.metadata) for protocol in request.protocols),
        )
        held = self._groups.setdefault(request.group_id, ConsumerGroup(request.group_id, FIRST_REBALANCE_DELAY_MS))
        answer: asyncio.Future[JoinResult] = asyncio.get_running_loop().create_future()
        held.join(
            request.member_id,
            joining,
            self._namespace.now_ms(),
            _reply_to(answer),
            new_id=lambda: self._new_member_id(joining.instance_id or client.id),
            id_first=version >= 4,
        )
        self._reschedule(held)
        return _join_response(await answer, version)

    async def sync(self, request: SyncGroupRequest) -> SyncGroupResponse:
        held = self._groups.get(request.group_id)
        if held is None:
            synced = SyncResult(group_id_error(request.group_id) or ErrorCode.unknown_member_id)
        else:
            answer: asyncio.Future[SyncResult] = asyncio.get_running_loop().create_future()
            held.sync(
                request.member_id,
                request.group_instance_id,
                request.generation_id,
                request.protocol_type,
                request.protocol_name,
                [(given.member_id, given.assignment) for given in request.assignments],
                self._namespace.now_ms(),
                _reply_to(answer),
            )
            self._reschedule(held)
            synced = await answer
        return SyncGroupResponse(
            throttle_time=NO_THROTTLE,
            error_code=synced.error,
            protocol_type=synced.protocol_type,
            protocol_name=synced.protocol,
            assignment=synced.assignment,
        )

    def heartbeat(self, request: HeartbeatRequest) -> HeartbeatResponse:
        held = self._groups.get(request.group_id)
        error = ErrorCode.unknown_member_id
        if held is not None:
            now_ms = self._namespace.now_ms()
            error = held.heartbeat(request.member_id, request.group_instance_id, request.generation_id, now_ms)
            self._reschedule(held)
        return HeartbeatResponse(throttle_time=NO_THROTTLE, error_code=group_id_error(request.group_id) or error)

    def leave(self, request: LeaveGroupRequest) -> LeaveGroupResponse:
        members = tuple(
            MemberResponse(
                member_id=member.member_id,
                group_instance_id=member.group_instance_id,
                error_code=self._leave(request.group_id, member.member_id, member.group_instance_id),
            )
            for member in request.members
        )
        error = group_id_error(request.group_id)
        return LeaveGroupResponse(throttle_time=NO_THROTTLE, error_code=error, members=members)

    def leave_one(self, request: leave_v2.LeaveGroupRequest) -> leave_v2.LeaveGroupResponse:
        """Before version 3 a request named one member."""
        error = group_id_error(request.group_id) or self._leave(request.group_id, request.member_id, None)
        return leave_v2.LeaveGroupResponse(throttle_time=NO_THROTTLE, error_code=error)

    def _leave(self, group_id: str, member_id: str, instance_id: str | None) -> ErrorCode:
        held = self._groups.get(group_id)
        if held is None:
            return ErrorCode.unknown_member_id
        error = held.leave(member_id, instance_id, self._namespace.now_ms())
        self._reschedule(held)
        return error

    def may_commit(self, request: OffsetCommitRequest) -> ErrorCode:
        """The error of a commit; none from a member, and from any client while the group has no members."""
        if error := group_id_error(request.group_id, least=0):
            return error
        generation = request.generation_id_or_member_epoch
        held = self._groups.get(request.group_id)
        if held is None:
            return ErrorCode.none if generation < 0 else ErrorCode.illegal_generation
        error = held.may_commit(request.member_id, request.group_instance_id, generation, self._namespace.now_ms())
        self._reschedule(held)
        return error

    def _reschedule(self, held: ConsumerGroup) -> None:
        """Set the group's one timer to its next deadline; remove a group that has no members."""
        if timer := self._timers.pop(held.id, None):
            timer.cancel()
        deadline_ms = held.next_deadline_ms()
        if deadline_ms is not None:
            delay = max(0, deadline_ms - self._namespace.now_ms()) / 1000
            self._timers[held.id] = asyncio.get_running_loop().call_later(delay, self._expire, held)
        elif not held.members:
            self._groups.pop(held.id, None)

    def _expire(self, held: ConsumerGroup) -> None:
        held.expire(self._namespace.now_ms())
        self._reschedule(held)


def _reply_to(answer: asyncio.Future[_T]) -> Callable[[_T], None]:
    """A function that sets the result, unless the waiting request was cancelled with its connection."""
    return lambda value: None if answer.done() else answer.set_result(value)


def group_id_error(group_id: str, *, least: int = 1) -> ErrorCode:
    """The error of an id that is too long or too short; `least` 0 allows an empty one, as Kafka does for offsets."""
    return ErrorCode.none if least <= len(group_id) <= MAX_GROUP_ID else ErrorCode.invalid_group_id


def _join_response(joined: JoinResult, version: int) -> JoinGroupResponse:
    return JoinGroupResponse(
        throttle_time=NO_THROTTLE,
        error_code=joined.error,
        generation_id=i32(joined.generation),
        protocol_type=joined.protocol_type,
        # Null says "no protocol" from version 7 on; before that, the empty string did.
        protocol_name=joined.protocol if version >= 7 else joined.protocol or "",
        leader=joined.leader,
        skip_assignment=joined.skip_assignment,
        member_id=joined.member_id,
        members=tuple(
            JoinGroupResponseMember(member_id=member_id, group_instance_id=instance_id, metadata=metadata)
            for member_id, instance_id, metadata in joined.members
        ),
    )
