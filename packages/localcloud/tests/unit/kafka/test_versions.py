"""The versions that are served are those of Kafka 3.2 to 3.4, and each can be used with the others.

Clients go by the version of a whole broker, told by the user or guessed from a few APIs, and then use what that
release has.
"""

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from kio.index import load_request_schema
from kio.schema.api_versions.v0 import ApiVersionsRequest
from kio.schema.errors import ErrorCode

from localcloud.kafka.api_table import ApiTable
from localcloud_tests.support.kafka import RawClient
from localcloud_tests.support.kafka_requests import plain, values
from localcloud_tests.unit.kafka.conftest import Connect

TABLE = ApiTable(None, None, None, None).table  # type: ignore[arg-type] # only the table is looked at

PRODUCE, FETCH, LIST_OFFSETS, METADATA, COMMIT, OFFSET_FETCH, COORDINATOR = 0, 1, 2, 3, 8, 9, 10
KAFKA_3_2 = {
    0: 9, 1: 13, 2: 7, 3: 12, 8: 8, 9: 8, 10: 4, 11: 9, 12: 4, 13: 5, 14: 5, 15: 5, 16: 4, 17: 1, 18: 3, 19: 7, 20: 6,
    22: 4, 23: 4, 32: 4, 36: 2, 37: 3, 42: 2, 60: 0,
}  # fmt: skip
"""The newest version of each API that we have, in Kafka 3.2, 3.3 and 3.4."""

RELEASES = {
    "1.0": {PRODUCE: 5, FETCH: 6, LIST_OFFSETS: 2, METADATA: 5, COMMIT: 3, OFFSET_FETCH: 3, COORDINATOR: 1},
    "2.0": {PRODUCE: 6, FETCH: 8, LIST_OFFSETS: 3, METADATA: 6, COMMIT: 4, OFFSET_FETCH: 4, COORDINATOR: 2},
    "2.4": {PRODUCE: 8, FETCH: 11, LIST_OFFSETS: 5, METADATA: 9, COMMIT: 8, OFFSET_FETCH: 6, COORDINATOR: 3},
    "2.8": {PRODUCE: 9, FETCH: 12, LIST_OFFSETS: 6, METADATA: 11, COMMIT: 8, OFFSET_FETCH: 7, COORDINATOR: 3},
    "3.0": {PRODUCE: 9, FETCH: 12, LIST_OFFSETS: 7, METADATA: 11, COMMIT: 8, OFFSET_FETCH: 8, COORDINATOR: 4},
    "3.2": {key: KAFKA_3_2[key] for key in (PRODUCE, FETCH, LIST_OFFSETS, METADATA, COMMIT, OFFSET_FETCH, COORDINATOR)},
}


class Release:
    """A client that speaks the versions of one release of Kafka."""

    def __init__(self, client: RawClient, versions: dict[int, int]) -> None:
        self._client = client
        self._versions = versions

    async def call(self, api_key: int, /, **fields: Any) -> Any:
        """The answer to a request with those fields; what they don't name is empty."""
        schema: Any = load_request_schema(api_key, self._versions[api_key])
        names = {each: value for each, value in fields.items() if each in schema.__dataclass_fields__}
        return await self._client.call(schema(**names))

    def nested(self, key: int, entity: str, /, **fields: Any) -> Any:
        """The entity of that name in a request, of those fields that it has in this release."""
        kind = getattr(import_module(load_request_schema(key, self._versions[key]).__module__), entity)
        return kind(**{each: value for each, value in fields.items() if each in kind.__dataclass_fields__})


def test_the_newest_versions_are_those_of_one_release() -> None:
    newest: dict[int, int] = {}
    for api in TABLE:
        newest[api.key] = max(api.last, newest.get(api.key, 0))
    assert newest == KAFKA_3_2


async def test_the_versions_that_are_told_are_those_that_are_served(connect: Connect) -> None:
    client = await connect()
    told = {
        row.api_key: (row.min_version, row.max_version) for row in (await client.call(ApiVersionsRequest())).api_keys
    }
    served = {(api.key, version) for api in TABLE for version in range(api.first, api.last + 1)}
    assert {(key, version) for key, (first, last) in told.items() for version in range(first, last + 1)} == served


@pytest.mark.parametrize("release", RELEASES)
async def test_events_go_round_in_the_versions_of_a_release(connect: Connect, release: str) -> None:
    kafka = Release(await connect(), RELEASES[release])
    wanted = kafka.nested(METADATA, "MetadataRequestTopic", name="events", topic_id=None)
    described = await kafka.call(
        METADATA,
        topics=(wanted,),
        allow_auto_topic_creation=False,
        include_cluster_authorized_operations=False,
        include_topic_authorized_operations=False,
    )
    (topic,) = described.topics
    assert (topic.error_code, topic.name, len(topic.partitions)) == (ErrorCode.none, "events", 2)
    topic_id = getattr(topic, "topic_id", None)
    data = kafka.nested(PRODUCE, "PartitionProduceData", index=0, records=plain(b"a", b"b"))
    sent = await kafka.call(
        PRODUCE,
        transactional_id=None,
        acks=-1,
        timeout=timedelta(seconds=5),
        topic_data=(kafka.nested(PRODUCE, "TopicProduceData", name="events", partition_data=(data,)),),
    )
    assert sent.responses[0].partition_responses[0].base_offset == 0
    part = kafka.nested(FETCH, "FetchPartition", partition=0, fetch_offset=0, partition_max_bytes=1 << 20)
    got = await kafka.call(
        FETCH,
        replica_id=-1,
        max_wait=timedelta(seconds=5),
        min_bytes=1,
        max_bytes=1 << 20,
        isolation_level=0,
        topics=(kafka.nested(FETCH, "FetchTopic", topic="events", topic_id=topic_id, partitions=(part,)),),
        forgotten_topics_data=(),
    )
    assert values(got.responses[0].partitions[0].records) == [b"a", b"b"]
    at = kafka.nested(LIST_OFFSETS, "ListOffsetsPartition", partition_index=0, timestamp=-1)
    ends = await kafka.call(
        LIST_OFFSETS,
        replica_id=-1,
        isolation_level=0,
        topics=(kafka.nested(LIST_OFFSETS, "ListOffsetsTopic", name="events", partitions=(at,)),),
    )
    assert ends.topics[0].partitions[0].offset == 2
    found = await kafka.call(COORDINATOR, key="g", coordinator_keys=("g",), key_type=0)
    row = found.coordinators[0] if hasattr(found, "coordinators") else found
    assert (row.error_code, row.node_id) == (ErrorCode.none, 0)
    mark = kafka.nested(
        COMMIT,
        "OffsetCommitRequestPartition",
        partition_index=0,
        committed_offset=2,
        committed_leader_epoch=-1,
        committed_metadata="m",
    )
    done = await kafka.call(
        COMMIT,
        group_id="g",
        generation_id_or_member_epoch=-1,
        member_id="",
        group_instance_id=None,
        retention_time=timedelta(milliseconds=-1),
        retention_time_ms=-1,
        topics=(kafka.nested(COMMIT, "OffsetCommitRequestTopic", name="events", partitions=(mark,)),),
    )
    assert done.topics[0].partitions[0].error_code is ErrorCode.none
    if RELEASES[release][OFFSET_FETCH] >= 8:
        asked = kafka.nested(OFFSET_FETCH, "OffsetFetchRequestTopics", name="events", partition_indexes=(0,))
        group = kafka.nested(OFFSET_FETCH, "OffsetFetchRequestGroup", group_id="g", topics=(asked,))
        kept = (await kafka.call(OFFSET_FETCH, groups=(group,), require_stable=False)).groups[0]
    else:
        asked = kafka.nested(OFFSET_FETCH, "OffsetFetchRequestTopic", name="events", partition_indexes=(0,))
        kept = await kafka.call(OFFSET_FETCH, group_id="g", topics=(asked,), require_stable=False)
    assert kept.topics[0].partitions[0].committed_offset == 2
