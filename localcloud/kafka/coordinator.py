"""The group coordinator: Kafka's group requests to and from `Group`, with clocks, timers and durable offsets."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from kio.schema.delete_groups.v2 import DeleteGroupsRequest, DeleteGroupsResponse
from kio.schema.delete_groups.v2.response import DeletableGroupResult
from kio.schema.describe_groups.v5 import DescribeGroupsRequest, DescribeGroupsResponse
from kio.schema.describe_groups.v5.response import DescribedGroup, DescribedGroupMember
from kio.schema.errors import ErrorCode
from kio.schema.heartbeat.v4 import HeartbeatRequest, HeartbeatResponse
from kio.schema.join_group.v9 import JoinGroupRequest, JoinGroupResponse
from kio.schema.join_group.v9.response import JoinGroupResponseMember
from kio.schema.leave_group import v2 as leave_v2
from kio.schema.leave_group.v5 import LeaveGroupRequest, LeaveGroupResponse
from kio.schema.leave_group.v5.response import MemberResponse
from kio.schema.list_groups.v4 import ListGroupsRequest, ListGroupsResponse
from kio.schema.list_groups.v4.response import ListedGroup
from kio.schema.offset_commit.v8 import OffsetCommitRequest, OffsetCommitResponse
from kio.schema.offset_commit.v8.request import OffsetCommitRequestPartition
from kio.schema.offset_commit.v8.response import OffsetCommitResponsePartition, OffsetCommitResponseTopic
from kio.schema.offset_fetch import v7 as fetch_v7
from kio.schema.offset_fetch.v7 import response as fetch_v7_response
from kio.schema.offset_fetch.v8 import OffsetFetchRequest, OffsetFetchResponse
from kio.schema.offset_fetch.v8.response import (
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)
from kio.schema.sync_group.v5 import SyncGroupRequest, SyncGroupResponse

from localcloud.kafka.committed import CommittedOffsets, Position
from localcloud.kafka.group import Group, Joined, Joining, State, Synced
from localcloud.kafka.namespace import Client, Namespace, find_hub, find_partition
from localcloud.kafka.types import NO_THROTTLE, group, i32, i64, milliseconds, topic
from localcloud.log.errors import LogError, UnknownHub

_T = TypeVar("_T")

MAX_GROUP_ID = 256
MAX_METADATA = 4096
SESSION_MS = (6_000, 300_000)
FIRST_REBALANCE_DELAY_MS = 50


class Coordinator:
    """All groups of the namespace: as on Event Hubs, a group id spans every hub."""

    def __init__(
        self,
        namespace: Namespace,
        committed: CommittedOffsets,
        new_member_id: Callable[[str], str],
        session_ms: tuple[int, int] = SESSION_MS,
    ) -> None:
        self._namespace = namespace
        self.committed = committed
        self._new_member_id = new_member_id
        self._session_ms = session_ms
        self._groups: dict[str, Group] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    # Membership.

    async def join(self, client: Client, request: JoinGroupRequest, version: int) -> JoinGroupResponse:
        error = _group_id_error(request.group_id)
        session_ms = milliseconds(request.session_timeout)
        rebalance_ms = milliseconds(request.rebalance_timeout)
        if error is ErrorCode.none and not self._session_ms[0] <= session_ms <= self._session_ms[1]:
            error = ErrorCode.invalid_session_timeout
        if error is not ErrorCode.none:
            return _join_response(Joined(error, request.member_id), version)
        joining = Joining(
            client.id,
            client.host,
            request.group_instance_id,
            session_ms,
            rebalance_ms if rebalance_ms > 0 else session_ms,
            request.protocol_type,
            tuple((protocol.name, protocol.metadata) for protocol in request.protocols),
        )
        held = self._groups.setdefault(request.group_id, Group(request.group_id, FIRST_REBALANCE_DELAY_MS))
        answer: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()
        held.join(
            request.member_id,
            joining,
            self._namespace.now_ms(),
            _settle(answer),
            new_id=lambda: self._new_member_id(joining.instance_id or client.id),
            id_first=version >= 4,
        )
        self._settle_timer(held)
        return _join_response(await answer, version)

    async def sync(self, request: SyncGroupRequest) -> SyncGroupResponse:
        held = self._groups.get(request.group_id)
        if held is None:
            synced = Synced(_group_id_error(request.group_id) or ErrorCode.unknown_member_id)
        else:
            answer: asyncio.Future[Synced] = asyncio.get_running_loop().create_future()
            held.sync(
                request.member_id,
                request.group_instance_id,
                request.generation_id,
                request.protocol_type,
                request.protocol_name,
                [(given.member_id, given.assignment) for given in request.assignments],
                self._namespace.now_ms(),
                _settle(answer),
            )
            self._settle_timer(held)
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
            self._settle_timer(held)
        return HeartbeatResponse(throttle_time=NO_THROTTLE, error_code=_group_id_error(request.group_id) or error)

    def leave(self, request: LeaveGroupRequest) -> LeaveGroupResponse:
        members = tuple(
            MemberResponse(
                member_id=member.member_id,
                group_instance_id=member.group_instance_id,
                error_code=self._leave(request.group_id, member.member_id, member.group_instance_id),
            )
            for member in request.members
        )
        error = _group_id_error(request.group_id)
        return LeaveGroupResponse(throttle_time=NO_THROTTLE, error_code=error, members=members)

    def leave_alone(self, request: leave_v2.LeaveGroupRequest) -> leave_v2.LeaveGroupResponse:
        """Before version 3 a member could only speak for itself."""
        error = _group_id_error(request.group_id) or self._leave(request.group_id, request.member_id, None)
        return leave_v2.LeaveGroupResponse(throttle_time=NO_THROTTLE, error_code=error)

    def _leave(self, group_id: str, member_id: str, instance_id: str | None) -> ErrorCode:
        held = self._groups.get(group_id)
        if held is None:
            return ErrorCode.unknown_member_id
        error = held.leave(member_id, instance_id, self._namespace.now_ms())
        self._settle_timer(held)
        return error

    def _settle_timer(self, held: Group) -> None:
        """One timer a group, at its next deadline; a group that has nobody left is forgotten."""
        if timer := self._timers.pop(held.id, None):
            timer.cancel()
        deadline_ms = held.next_deadline_ms()
        if deadline_ms is not None:
            delay = max(0, deadline_ms - self._namespace.now_ms()) / 1000
            self._timers[held.id] = asyncio.get_running_loop().call_later(delay, self._expire, held)
        elif not held.members:
            self._groups.pop(held.id, None)

    def _expire(self, held: Group) -> None:
        held.expire(self._namespace.now_ms())
        self._settle_timer(held)

    # Offsets.

    async def commit(self, client: Client, request: OffsetCommitRequest) -> OffsetCommitResponse:
        refused = self._commit_error(request)
        results: list[tuple[str, list[tuple[int, ErrorCode]]]] = []
        positions: dict[tuple[str, int], Position] = {}
        for wanted in request.topics:
            hub = find_hub(self._namespace, client, wanted.name)
            rows: list[tuple[int, ErrorCode]] = []
            for part in wanted.partitions:
                error = refused or _partition_error(find_partition(hub, part.partition_index)) or _too_long(part)
                if error is ErrorCode.none:
                    positions[wanted.name.lower(), part.partition_index] = Position(
                        part.committed_offset, part.committed_leader_epoch, part.committed_metadata or ""
                    )
                rows.append((part.partition_index, error))
            results.append((wanted.name, rows))
        failed = ErrorCode.none
        try:
            await self.committed.commit(request.group_id, positions, self._namespace.now_ms())
        except LogError:
            failed = ErrorCode.coordinator_not_available
        return OffsetCommitResponse(
            throttle_time=NO_THROTTLE,
            topics=tuple(
                OffsetCommitResponseTopic(
                    name=topic(name),
                    partitions=tuple(
                        OffsetCommitResponsePartition(partition_index=i32(number), error_code=error or failed)
                        for number, error in rows
                    ),
                )
                for name, rows in results
            ),
        )

    def _commit_error(self, request: OffsetCommitRequest) -> ErrorCode:
        generation = request.generation_id_or_member_epoch
        held = self._groups.get(request.group_id)
        if error := _group_id_error(request.group_id):
            return error
        if held is None:
            return ErrorCode.none if generation < 0 else ErrorCode.illegal_generation
        now_ms = self._namespace.now_ms()
        error = held.may_commit(request.member_id, request.group_instance_id, generation, now_ms)
        self._settle_timer(held)
        return error

    def fetch_offsets(self, client: Client, request: OffsetFetchRequest) -> OffsetFetchResponse:
        groups = []
        for wanted in request.groups:
            asked = None
            if wanted.topics is not None:
                asked = [(each.name, each.partition_indexes) for each in wanted.topics]
            topics = tuple(
                OffsetFetchResponseTopics(
                    name=topic(name),
                    partitions=tuple(
                        OffsetFetchResponsePartitions(
                            partition_index=i32(number),
                            committed_offset=i64(position.offset),
                            committed_leader_epoch=i32(position.leader_epoch),
                            metadata=position.metadata,
                            error_code=ErrorCode.none,
                        )
                        for number, position in positions
                    ),
                )
                for name, positions in self._positions(client, wanted.group_id, asked)
            )
            error = _group_id_error(wanted.group_id)
            groups.append(OffsetFetchResponseGroup(group_id=wanted.group_id, topics=topics, error_code=error))
        return OffsetFetchResponse(throttle_time=NO_THROTTLE, groups=tuple(groups))

    def fetch_offsets_of_one(
        self, client: Client, request: fetch_v7.OffsetFetchRequest
    ) -> fetch_v7.OffsetFetchResponse:
        """Before version 8 a request was about one group."""
        asked = None
        if request.topics is not None:
            asked = [(each.name, each.partition_indexes) for each in request.topics]
        topics = tuple(
            fetch_v7_response.OffsetFetchResponseTopic(
                name=topic(name),
                partitions=tuple(
                    fetch_v7_response.OffsetFetchResponsePartition(
                        partition_index=i32(number),
                        committed_offset=i64(position.offset),
                        committed_leader_epoch=i32(position.leader_epoch),
                        metadata=position.metadata,
                        error_code=ErrorCode.none,
                    )
                    for number, position in positions
                ),
            )
            for name, positions in self._positions(client, request.group_id, asked)
        )
        error = _group_id_error(request.group_id)
        return fetch_v7.OffsetFetchResponse(throttle_time=NO_THROTTLE, topics=topics, error_code=error)

    def _positions(
        self, client: Client, group_id: str, asked: Iterable[tuple[str, Iterable[int]]] | None
    ) -> list[tuple[str, list[tuple[int, Position]]]]:
        """What the group has committed of what was asked (None: of everything); offset -1 where it has nothing."""
        held = self.committed.of(group_id)
        if asked is None:
            every: dict[str, list[tuple[int, Position]]] = {}
            for (name, number), position in held.items():
                if client.may_use(name):
                    every.setdefault(self._spelled(name), []).append((number, position))
            return list(every.items())
        nothing = Position(-1, -1, "")
        return [
            (name, [(number, held.get((name.lower(), number), nothing)) for number in numbers])
            for name, numbers in asked
        ]

    def _spelled(self, name: str) -> str:
        try:
            return self._namespace.store.hub(name).name
        except UnknownHub:
            return name

    # Looking in from outside.

    def describe(self, request: DescribeGroupsRequest) -> DescribeGroupsResponse:
        groups = tuple(self._described(group_id) for group_id in request.groups)
        return DescribeGroupsResponse(throttle_time=NO_THROTTLE, groups=groups)

    def _described(self, group_id: str) -> DescribedGroup:
        held = self._groups.get(group_id)
        if held is None:
            state = State.EMPTY if self.committed.of(group_id) else State.DEAD
            return DescribedGroup(
                error_code=_group_id_error(group_id),
                group_id=group(group_id),
                group_state=state,
                protocol_type="consumer" if state is State.EMPTY else "",
                protocol_data="",
                members=(),
            )
        settled = held.state is State.STABLE and held.protocol is not None
        return DescribedGroup(
            error_code=ErrorCode.none,
            group_id=group(group_id),
            group_state=held.state,
            protocol_type=held.protocol_type or "",
            protocol_data=(held.protocol or "") if settled else "",
            members=tuple(
                DescribedGroupMember(
                    member_id=member.id,
                    group_instance_id=member.joining.instance_id,
                    client_id=member.joining.client_id,
                    client_host=f"/{member.joining.client_host}",
                    member_metadata=member.joining.metadata(held.protocol or "") if settled else b"",
                    member_assignment=member.assignment,
                )
                for member in held.members.values()
            ),
        )

    def list_all(self, request: ListGroupsRequest) -> ListGroupsResponse:
        found = {held.id: (held.protocol_type or "", held.state) for held in self._groups.values()}
        for group_id in self.committed.groups():
            found.setdefault(group_id, ("consumer", State.EMPTY))
        wanted = {state.lower() for state in request.states_filter}
        return ListGroupsResponse(
            throttle_time=NO_THROTTLE,
            error_code=ErrorCode.none,
            groups=tuple(
                ListedGroup(group_id=group(group_id), protocol_type=protocol_type, group_state=state)
                for group_id, (protocol_type, state) in found.items()
                if not wanted or state.lower() in wanted
            ),
        )

    async def delete(self, request: DeleteGroupsRequest) -> DeleteGroupsResponse:
        results = tuple(
            [
                DeletableGroupResult(group_id=group_id, error_code=await self._delete(group_id))
                for group_id in request.groups_names
            ]
        )
        return DeleteGroupsResponse(throttle_time=NO_THROTTLE, results=results)

    async def _delete(self, group_id: str) -> ErrorCode:
        if group_id in self._groups:
            return ErrorCode.non_empty_group
        if not self.committed.of(group_id):
            return ErrorCode.group_id_not_found
        try:
            await self.committed.forget_group(group_id, self._namespace.now_ms())
        except LogError:
            return ErrorCode.coordinator_not_available
        return ErrorCode.none


def _settle(answer: asyncio.Future[_T]) -> Callable[[_T], None]:
    """A reply for which nobody may be waiting any more, since connections go away."""
    return lambda value: None if answer.done() else answer.set_result(value)


def _group_id_error(group_id: str) -> ErrorCode:
    return ErrorCode.none if 0 < len(group_id) <= MAX_GROUP_ID else ErrorCode.invalid_group_id


def _partition_error(partition: object) -> ErrorCode:
    return partition if isinstance(partition, ErrorCode) else ErrorCode.none


def _too_long(part: OffsetCommitRequestPartition) -> ErrorCode:
    long = len(part.committed_metadata or "") > MAX_METADATA
    return ErrorCode.offset_metadata_too_large if long else ErrorCode.none


def _join_response(joined: Joined, version: int) -> JoinGroupResponse:
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
