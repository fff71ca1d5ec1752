"""Topics by name and by id: told, created, deleted, and read; and requests about them that make no sense."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from kio.schema.create_topics.v7.request import CreatableReplicaAssignment
from kio.schema.delete_groups.v2 import DeleteGroupsRequest
from kio.schema.delete_topics.v5 import DeleteTopicsRequest as DeleteTopicsRequestV5
from kio.schema.delete_topics.v6 import DeleteTopicsRequest
from kio.schema.delete_topics.v6.request import DeleteTopicState
from kio.schema.errors import ErrorCode
from kio.schema.fetch.v13 import FetchRequest
from kio.schema.fetch.v13.request import FetchPartition, FetchTopic
from kio.schema.find_coordinator import v3 as find_v3
from kio.schema.find_coordinator import v4 as find_v4
from kio.schema.list_offsets.v7 import ListOffsetsRequest
from kio.schema.list_offsets.v7.request import ListOffsetsPartition, ListOffsetsTopic
from kio.schema.metadata import v3 as metadata_v3
from kio.schema.metadata import v10 as metadata_v10
from kio.schema.metadata import v12 as metadata_v12
from kio.schema.metadata.v3.request import MetadataRequestTopic as TopicV3
from kio.schema.metadata.v10.request import MetadataRequestTopic as TopicV10
from kio.schema.metadata.v12.request import MetadataRequestTopic as TopicV12
from kio.schema.offset_commit.v8 import OffsetCommitRequest
from kio.schema.offset_commit.v8.request import OffsetCommitRequestPartition, OffsetCommitRequestTopic
from kio.schema.offset_fetch.v1 import OffsetFetchRequest as OffsetFetchRequestV1
from kio.schema.offset_fetch.v1.request import OffsetFetchRequestTopic as OffsetFetchTopicV1

from localcloud.kafka.server import KafkaServer
from localcloud.log.store import LogStore
from localcloud.sas import AccessRule, Keys, Right
from localcloud_tests.support.kafka import CONNECTION_STRING, RawClient
from localcloud_tests.support.kafka_requests import configs, created, make, plain, produce, produced, topic, values
from localcloud_tests.unit.kafka.conftest import Connect

NONE = ErrorCode.none
SOON = timedelta(seconds=5)


@pytest.fixture
async def server(store: LogStore) -> AsyncIterator[KafkaServer]:
    """As the one of the other tests, and clients may create topics."""
    async with KafkaServer(store, Keys(), port=0, create_topics=True) as server:
        yield server


async def asked(client: RawClient, *, create: bool = False, version: Any = metadata_v12, **topic: Any) -> Any:
    """What Metadata says of one topic."""
    kind = {metadata_v3: TopicV3, metadata_v10: TopicV10, metadata_v12: TopicV12}[version]
    values = {"allow_auto_topic_creation": create, "include_topic_authorized_operations": False}
    if version is metadata_v10:
        values["include_cluster_authorized_operations"] = False
    if version is metadata_v3:
        values = {}
    wanted = make(kind, **({"name": None, "topic_id": None} if version is not metadata_v3 else {}) | topic)
    return (await client.call(make(version.MetadataRequest, topics=(wanted,), **values))).topics[0]


# Metadata.


@pytest.mark.parametrize("name", ["not a name", "", ".", "..", "a/b", "ü", "-a", "x" * 257, "a\n"])
@pytest.mark.parametrize("create", [False, True])
async def test_a_name_that_no_topic_can_have_is_invalid(connect: Connect, name: str, create: bool) -> None:
    client = await connect()
    answer = await asked(client, name=name, create=create)
    assert (answer.error_code, answer.name) == (ErrorCode.invalid_topic_exception, name)


@pytest.mark.parametrize(
    ("rights", "error"),
    [
        ({Right.SEND}, ErrorCode.topic_authorization_failed),
        ({Right.SEND, Right.LISTEN}, ErrorCode.topic_authorization_failed),
        ({Right.MANAGE, Right.SEND, Right.LISTEN}, NONE),
    ],
)
async def test_a_topic_on_demand_needs_the_right_to_manage(
    store: LogStore, rights: set[Right], error: ErrorCode
) -> None:
    keys = Keys(rules=lambda path: {} if path else {"few": AccessRule(("secret",), frozenset(rights))})
    async with KafkaServer(store, keys, port=0, create_topics=True) as server:
        password = "Endpoint=sb://127.0.0.1;SharedAccessKeyName=few;SharedAccessKey=secret"
        client = await RawClient.connect(server.port, password=password)
        assert (await asked(client, name="fresh", create=True)).error_code is error
        await client.close()
    assert ("fresh" in [hub.name for hub in store.hubs()]) is (error is NONE)


async def test_a_topic_is_created_when_its_metadata_is_asked_for_and_may_be(connect: Connect) -> None:
    client = await connect()
    assert (await asked(client, name="fresh")).error_code is ErrorCode.unknown_topic_or_partition
    answer = await asked(client, name="fresh", create=True)
    assert (answer.error_code, answer.name, len(answer.partitions)) == (NONE, "fresh", 1)
    assert (await asked(client, name="fresh")).topic_id == answer.topic_id
    # Before version 4 a client could not say that it wanted none.
    assert (await asked(client, name="older", version=metadata_v3)).error_code is NONE


async def test_a_hub_that_is_declared_comes_back_as_it_is_declared(connect: Connect) -> None:
    client = await connect()
    await client.call(make(DeleteTopicsRequestV5, topic_names=("events",), timeout=SOON))
    answer = await asked(client, name="events", create=True)
    assert len(answer.partitions) == 2


async def test_a_credential_for_one_hub_creates_no_other(connect: Connect) -> None:
    client = await connect(password=CONNECTION_STRING + ";EntityPath=mine")
    assert (await asked(client, name="yours", create=True)).error_code is ErrorCode.topic_authorization_failed
    assert (await asked(client, name="mine", create=True)).error_code is NONE


async def test_topics_are_found_by_their_ids_from_version_12_on(connect: Connect) -> None:
    client = await connect()
    known = (await asked(client, name="Other")).topic_id
    found = await asked(client, topic_id=known)
    assert (found.error_code, found.name, len(found.partitions)) == (NONE, "Other", 1)
    absent = uuid.UUID(int=5)
    answer = await asked(client, topic_id=absent)
    assert (answer.error_code, answer.name, answer.topic_id) == (ErrorCode.unknown_topic_id, None, absent)
    assert (await asked(client, topic_id=known, version=metadata_v10)).error_code is ErrorCode.invalid_request
    assert (await asked(client)).error_code is ErrorCode.invalid_request
    limited = await connect(password=CONNECTION_STRING + ";EntityPath=events")
    assert (await asked(limited, topic_id=known)).error_code is ErrorCode.unknown_topic_id


# Reading by id.


def fetch_by_id(topic_id: uuid.UUID, session_id: int = 0) -> Any:
    part = make(FetchPartition, partition=0, fetch_offset=0, partition_max_bytes=1 << 20)
    return make(
        FetchRequest,
        max_wait=timedelta(),
        min_bytes=1,
        session_id=session_id,
        topics=(make(FetchTopic, topic_id=topic_id, partitions=(part,)),),
        forgotten_topics_data=(),
    )


async def test_events_are_read_by_the_id_of_their_topic(connect: Connect) -> None:
    client = await connect()
    await produced(client, produce(plain(b"a"), topic="Other"))
    known = (await asked(client, name="Other")).topic_id
    (topic,) = (await client.call(fetch_by_id(known))).responses
    assert topic.topic_id == known
    assert values(topic.partitions[0].records) == [b"a"]
    (topic,) = (await client.call(fetch_by_id(uuid.UUID(int=5)))).responses
    assert topic.partitions[0].error_code is ErrorCode.unknown_topic_id
    refused = await client.call(fetch_by_id(known, session_id=7))
    assert (refused.error_code, refused.responses) == (ErrorCode.fetch_session_id_not_found, ())


async def test_a_topic_that_is_made_anew_has_another_id(connect: Connect) -> None:
    client = await connect()
    before = (await asked(client, name="Other")).topic_id
    await client.call(make(DeleteTopicsRequestV5, topic_names=("Other",), timeout=SOON))
    after = (await asked(client, name="Other", create=True)).topic_id
    assert after != before
    (topic,) = (await client.call(fetch_by_id(before))).responses
    assert topic.partitions[0].error_code is ErrorCode.unknown_topic_id


async def test_a_fault_finds_a_request_that_names_its_hub_by_id(store: LogStore) -> None:
    async with KafkaServer(store, Keys(), port=0) as server:
        client = await RawClient.connect(server.port)
        known = (await asked(client, name="Other")).topic_id
        assert server.apis.hub_names(fetch_by_id(known)) == ["Other"]
        assert server.apis.hub_names(fetch_by_id(uuid.UUID(int=5))) == []
        await client.close()


# Creating and deleting.


def assigned(*numbers: int, brokers: tuple[int, ...] = (0,)) -> Any:
    return tuple(make(CreatableReplicaAssignment, partition_index=number, broker_ids=brokers) for number in numbers)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (topic(**configs(no_such_config="1")), ErrorCode.invalid_config),
        (topic(**configs(retention_ms=None)), ErrorCode.invalid_config),
        (topic(**configs(retention_ms="1e3")), ErrorCode.invalid_config),
        (topic(**configs(retention_ms="9" * 5000)), ErrorCode.invalid_config),
        (topic(**configs(retention_ms="٣")), ErrorCode.invalid_config),
        (topic(**configs(message_timestamp_type="Now")), ErrorCode.invalid_config),
        (topic(**configs(min_cleanable_dirty_ratio="2")), ErrorCode.invalid_config),
        (topic(partitions=0), ErrorCode.invalid_partitions),
        (topic(partitions=-2), ErrorCode.invalid_partitions),
        (topic(partitions=33), ErrorCode.invalid_partitions),
        (topic(replicas=0), ErrorCode.invalid_replication_factor),
        (topic(replicas=-2), ErrorCode.invalid_replication_factor),
        (topic(assignments=assigned(0)), ErrorCode.invalid_request),
        (topic(partitions=-1, replicas=-1, assignments=assigned(1, 2)), ErrorCode.invalid_replica_assignment),
        (topic(partitions=-1, replicas=-1, assignments=assigned(0, brokers=())), ErrorCode.invalid_replica_assignment),
        (topic(partitions=-1, replicas=-1, assignments=assigned(*range(33))), ErrorCode.invalid_partitions),
        (topic(name="events"), ErrorCode.topic_already_exists),
        (topic(name="y" * 3000), ErrorCode.invalid_topic_exception),
    ],
)
async def test_a_topic_that_cannot_be_is_not_created(connect: Connect, wanted: Any, error: ErrorCode) -> None:
    client = await connect()
    for validate_only in (True, False):
        (result,) = await created(client, wanted, validate_only=validate_only)
        assert result.error_code is error
        assert 0 < len(result.error_message) < 400
    assert (await asked(client, name="made")).error_code is ErrorCode.unknown_topic_or_partition


async def test_a_topic_is_created_as_it_is_asked_for(connect: Connect) -> None:
    client = await connect()
    wanted = topic(partitions=-1, replicas=-1, assignments=assigned(0, 1, 2), **configs(cleanup_policy="compact"))
    (dry,) = await created(client, wanted, validate_only=True)
    assert (dry.error_code, dry.num_partitions, dry.topic_id) == (NONE, 3, None)
    assert (await asked(client, name="made")).error_code is ErrorCode.unknown_topic_or_partition
    (result,) = await created(client, wanted)
    assert (result.error_code, result.num_partitions) == (NONE, 3)
    assert (await asked(client, name="made")).topic_id == result.topic_id
    refused = await produced(client, produce(None, topic="made"))
    assert refused.error_code is ErrorCode.invalid_record


async def test_a_name_twice_in_a_request_is_a_mistake(connect: Connect) -> None:
    client = await connect()
    assert [each.error_code for each in await created(client, topic("twice"), topic("twice"), topic("once"))] == [
        ErrorCode.invalid_request,
        ErrorCode.invalid_request,
        NONE,
    ]
    twice = make(DeleteTopicsRequestV5, topic_names=("once", "once"), timeout=SOON)
    answers = (await client.call(twice)).responses
    assert [each.error_code for each in answers] == [ErrorCode.invalid_request] * 2
    assert (await asked(client, name="once")).error_code is NONE


async def test_topics_are_deleted_by_name_or_by_id_but_not_by_both(connect: Connect) -> None:
    client = await connect()
    known = (await asked(client, name="Other")).topic_id
    for state, error in (
        ({"name": "Other", "topic_id": known}, ErrorCode.invalid_request),
        ({"name": None, "topic_id": None}, ErrorCode.invalid_request),
        ({"name": None, "topic_id": uuid.UUID(int=5)}, ErrorCode.unknown_topic_id),
        ({"name": "nothing-here", "topic_id": None}, ErrorCode.unknown_topic_or_partition),
        ({"name": None, "topic_id": known}, NONE),
        ({"name": "events", "topic_id": None}, NONE),
    ):
        request = make(DeleteTopicsRequest, topics=(make(DeleteTopicState, **state),), timeout=SOON)
        assert (await client.call(request)).responses[0].error_code is error
    for name in ("Other", "events"):
        assert (await asked(client, name=name)).error_code is ErrorCode.unknown_topic_or_partition


# Coordinators, offsets and groups.


@pytest.mark.parametrize(
    ("kind", "error"), [(1, ErrorCode.transactional_id_authorization_failed), (2, ErrorCode.invalid_request)]
)
async def test_only_groups_have_a_coordinator(connect: Connect, kind: int, error: ErrorCode) -> None:
    client = await connect()
    (new,) = (
        await client.call(make(find_v4.FindCoordinatorRequest, coordinator_keys=("",), key_type=kind))
    ).coordinators
    old = await client.call(make(find_v3.FindCoordinatorRequest, key="k", key_type=kind))
    for row in (new, old):
        assert (row.error_code, row.node_id, row.host, row.port) == (error, -1, "", -1)


async def test_timestamps_that_mean_nothing_are_before_all_others(connect: Connect) -> None:
    client = await connect()
    await produced(client, produce(plain(b"a", b"b", timestamp=100)))

    async def offset_at(*timestamps: int) -> list[tuple[ErrorCode, int]]:
        parts = tuple(make(ListOffsetsPartition, partition_index=0, timestamp=each) for each in timestamps)
        wanted = make(ListOffsetsTopic, name="events", partitions=parts)
        request = make(ListOffsetsRequest, replica_id=-1, isolation_level=0, topics=(wanted,))
        return [(row.error_code, row.offset) for row in (await client.call(request)).topics[0].partitions]

    for timestamp, offset in ((-1, 2), (-2, 0), (-3, 0), (-4, 0), (-(2**63), 0), (101, -1), (2**63 - 1, -1)):
        assert await offset_at(timestamp) == [(NONE, offset)]
    assert await offset_at(-1, -2) == [(ErrorCode.invalid_request, -1)] * 2


async def test_offsets_that_cannot_be_kept_or_told(connect: Connect) -> None:
    client = await connect()

    async def committed(group: str, metadata: str = "", hub: str = "events", partition: int = 0) -> ErrorCode:
        part = make(
            OffsetCommitRequestPartition, partition_index=partition, committed_offset=5, committed_metadata=metadata
        )
        request = make(
            OffsetCommitRequest,
            group_id=group,
            member_id="",
            topics=(make(OffsetCommitRequestTopic, name=hub, partitions=(part,)),),
        )
        error: ErrorCode = (await client.call(request)).topics[0].partitions[0].error_code
        return error

    assert await committed("g", "m" * 1024) is NONE
    assert await committed("", "m") is NONE  # Kafka has a group without a name for those who only keep offsets
    assert await committed("g", "m" * 1025) is ErrorCode.offset_metadata_too_large
    assert await committed("g", "ü" * 513) is ErrorCode.offset_metadata_too_large
    assert await committed("g" * 257) is ErrorCode.invalid_group_id
    assert await committed("g", hub="nothing-here") is ErrorCode.unknown_topic_or_partition
    assert await committed("g", partition=-1) is ErrorCode.unknown_topic_or_partition

    async def kept(client: RawClient, group: str) -> Any:
        wanted = make(OffsetFetchTopicV1, name="events", partition_indexes=(0, 7))
        request = make(OffsetFetchRequestV1, group_id=group, topics=(wanted,))
        return [(row.error_code, row.committed_offset) for row in (await client.call(request)).topics[0].partitions]

    assert await kept(client, "g") == await kept(client, "") == [(NONE, 5), (NONE, -1)]
    assert await kept(client, "g" * 257) == [(ErrorCode.invalid_group_id, -1)] * 2
    limited = await connect(password=CONNECTION_STRING + ";EntityPath=Other")
    assert await kept(limited, "g") == [(ErrorCode.topic_authorization_failed, -1)] * 2
    names = ("g", "g", "nobody", "g" * 257)
    answers = (await client.call(make(DeleteGroupsRequest, groups_names=names))).results
    assert [each.error_code for each in answers] == [
        NONE,
        ErrorCode.group_id_not_found,
        ErrorCode.group_id_not_found,
        ErrorCode.invalid_group_id,
    ]
