"""OffsetCommit and OffsetFetch: the next offset that a group reads of each partition."""

from collections.abc import Iterable
from typing import Protocol

from kio.schema.errors import ErrorCode
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

from localcloud.kafka.committed_offsets import CommittedOffset, CommittedOffsets
from localcloud.kafka.group_coordinator import GroupCoordinator, group_id_error
from localcloud.kafka.namespace import KafkaClient, KafkaNamespace, find_hub, find_partition
from localcloud.kafka.primitives import NO_THROTTLE, i32, i64, topic
from localcloud.log.errors import LogError, UnknownHubError
from localcloud.sas import Right

MAX_METADATA_BYTES = 1024
"""Event Hubs' limit, a quarter of Kafka's default."""

_NOTHING = CommittedOffset(-1, -1, "")
_Row = tuple[int, CommittedOffset, ErrorCode]


class _AskedTopic(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def partition_indexes(self) -> tuple[int, ...]: ...


class GroupOffsets:
    """The handlers: the coordinator decides who may commit, `CommittedOffsets` stores."""

    def __init__(self, namespace: KafkaNamespace, coordinator: GroupCoordinator, committed: CommittedOffsets) -> None:
        self._namespace = namespace
        self._coordinator = coordinator
        self._committed = committed

    async def commit(self, client: KafkaClient, request: OffsetCommitRequest) -> OffsetCommitResponse:
        refused = self._coordinator.may_commit(request)
        results: list[tuple[str, list[tuple[int, ErrorCode]]]] = []
        positions: dict[tuple[str, int], CommittedOffset] = {}
        for wanted in request.topics:
            hub = find_hub(self._namespace, client, wanted.name, Right.LISTEN)
            rows: list[tuple[int, ErrorCode]] = []
            for part in wanted.partitions:
                error = refused or _partition_error(find_partition(hub, part.partition_index)) or _too_long(part)
                if error is ErrorCode.none:
                    positions[wanted.name.lower(), part.partition_index] = CommittedOffset(
                        part.committed_offset, part.committed_leader_epoch, part.committed_metadata or ""
                    )
                rows.append((part.partition_index, error))
            results.append((wanted.name, rows))
        failed = ErrorCode.none
        try:
            await self._committed.commit(request.group_id, positions, self._namespace.now_ms())
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

    def fetch(self, client: KafkaClient, request: OffsetFetchRequest) -> OffsetFetchResponse:
        groups = []
        for wanted in request.groups:
            error = group_id_error(wanted.group_id, least=0)
            topics = tuple(
                OffsetFetchResponseTopics(
                    name=topic(name),
                    partitions=tuple(
                        OffsetFetchResponsePartitions(
                            partition_index=i32(number),
                            committed_offset=i64(found.offset),
                            committed_leader_epoch=i32(found.leader_epoch),
                            metadata=found.metadata,
                            error_code=failure,
                        )
                        for number, found, failure in rows
                    ),
                )
                for name, rows in self._rows(client, wanted.group_id, wanted.topics, error)
            )
            groups.append(OffsetFetchResponseGroup(group_id=wanted.group_id, topics=topics, error_code=error))
        return OffsetFetchResponse(throttle_time=NO_THROTTLE, groups=tuple(groups))

    def fetch_of_one(self, client: KafkaClient, request: fetch_v7.OffsetFetchRequest) -> fetch_v7.OffsetFetchResponse:
        """Before version 8 a request was about one group."""
        error = group_id_error(request.group_id, least=0)
        topics = tuple(
            fetch_v7_response.OffsetFetchResponseTopic(
                name=topic(name),
                partitions=tuple(
                    fetch_v7_response.OffsetFetchResponsePartition(
                        partition_index=i32(number),
                        committed_offset=i64(found.offset),
                        committed_leader_epoch=i32(found.leader_epoch),
                        metadata=found.metadata,
                        error_code=failure,
                    )
                    for number, found, failure in rows
                ),
            )
            for name, rows in self._rows(client, request.group_id, request.topics, error)
        )
        return fetch_v7.OffsetFetchResponse(throttle_time=NO_THROTTLE, topics=topics, error_code=error)

    def _rows(
        self, client: KafkaClient, group_id: str, asked: Iterable[_AskedTopic] | None, error: ErrorCode
    ) -> list[tuple[str, list[_Row]]]:
        """What the group has committed of what was asked (None: of everything); offset -1 where it has nothing.

        A hub that the client may not use is an error in each of its rows. So is `error`, because version 1 has no other
        place for it.
        """
        held = {} if error else self._committed.of_group(group_id)
        if asked is None:
            every: dict[str, list[_Row]] = {}
            for (name, number), found in held.items():
                if client.may_use(name):
                    every.setdefault(self._declared_name(name), []).append((number, found, ErrorCode.none))
            return list(every.items())
        rows: list[tuple[str, list[_Row]]] = []
        for wanted in asked:
            allowed = client.may_use(wanted.name)
            failure = error or (ErrorCode.none if allowed else ErrorCode.topic_authorization_failed)
            known = held if allowed else {}
            rows.append(
                (
                    wanted.name,
                    [
                        (number, known.get((wanted.name.lower(), number), _NOTHING), failure)
                        for number in wanted.partition_indexes
                    ],
                )
            )
        return rows

    def _declared_name(self, name: str) -> str:
        try:
            return self._namespace.store.hub(name).name
        except UnknownHubError:
            return name


def _partition_error(partition: object) -> ErrorCode:
    return partition if isinstance(partition, ErrorCode) else ErrorCode.none


def _too_long(part: OffsetCommitRequestPartition) -> ErrorCode:
    size = len((part.committed_metadata or "").encode())
    return ErrorCode.offset_metadata_too_large if size > MAX_METADATA_BYTES else ErrorCode.none
