"""DescribeGroups, ListGroups and DeleteGroups: groups as seen from outside, with members or with offsets alone."""

from kio.schema.delete_groups.v2 import DeleteGroupsRequest, DeleteGroupsResponse
from kio.schema.delete_groups.v2.response import DeletableGroupResult
from kio.schema.describe_groups.v5 import DescribeGroupsRequest, DescribeGroupsResponse
from kio.schema.describe_groups.v5.response import DescribedGroup, DescribedGroupMember
from kio.schema.errors import ErrorCode
from kio.schema.list_groups.v4 import ListGroupsRequest, ListGroupsResponse
from kio.schema.list_groups.v4.response import ListedGroup

from localcloud.kafka.committed_offsets import CommittedOffsets
from localcloud.kafka.consumer_group import GroupState
from localcloud.kafka.group_coordinator import GroupCoordinator, group_id_error
from localcloud.kafka.namespace import KafkaClient, KafkaNamespace
from localcloud.kafka.primitives import NO_THROTTLE, group
from localcloud.log.errors import LogError
from localcloud.sas import Right


class GroupAdmin:
    """The groups that the coordinator has members of, and those of which only committed offsets are left."""

    def __init__(self, namespace: KafkaNamespace, coordinator: GroupCoordinator, committed: CommittedOffsets) -> None:
        self._namespace = namespace
        self._coordinator = coordinator
        self._committed = committed

    def describe(self, request: DescribeGroupsRequest) -> DescribeGroupsResponse:
        groups = tuple(self._described(group_id) for group_id in request.groups)
        return DescribeGroupsResponse(throttle_time=NO_THROTTLE, groups=groups)

    def _described(self, group_id: str) -> DescribedGroup:
        held = self._coordinator.groups.get(group_id)
        if held is None:
            state = GroupState.EMPTY if self._committed.of_group(group_id) else GroupState.DEAD
            return DescribedGroup(
                error_code=group_id_error(group_id, least=0),
                group_id=group(group_id),
                group_state=state,
                protocol_type="consumer" if state is GroupState.EMPTY else "",
                protocol_data="",
                members=(),
            )
        settled = held.state is GroupState.STABLE and held.protocol is not None
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
        found = {held.id: (held.protocol_type or "", held.state) for held in self._coordinator.groups.values()}
        for group_id in self._committed.groups():
            found.setdefault(group_id, ("consumer", GroupState.EMPTY))
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

    async def delete(self, client: KafkaClient, request: DeleteGroupsRequest) -> DeleteGroupsResponse:
        results = tuple(
            [
                DeletableGroupResult(group_id=group_id, error_code=await self._delete(client, group_id))
                for group_id in request.groups_names
            ]
        )
        return DeleteGroupsResponse(throttle_time=NO_THROTTLE, results=results)

    async def _delete(self, client: KafkaClient, group_id: str) -> ErrorCode:
        if error := group_id_error(group_id, least=0):
            return error
        if group_id in self._coordinator.groups:
            return ErrorCode.non_empty_group
        committed = self._committed.of_group(group_id)
        if not committed:
            return ErrorCode.group_id_not_found
        # Who may not commit a position may not delete it.
        if not all(client.may_use(hub, Right.LISTEN) for hub, _ in committed):
            return ErrorCode.group_authorization_failed
        try:
            await self._committed.forget_group(group_id, self._namespace.now_ms())
        except LogError:
            return ErrorCode.coordinator_not_available
        return ErrorCode.none
