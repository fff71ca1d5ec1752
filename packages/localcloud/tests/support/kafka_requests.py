"""Kafka requests and record batches from plain values, and what is in the answers."""

import struct
from datetime import timedelta
from typing import Any

from crc32c import crc32c
from kio.schema.create_topics.v7 import CreateTopicsRequest
from kio.schema.create_topics.v7.request import CreatableTopic, CreatableTopicConfig
from kio.schema.fetch.v11 import FetchRequest
from kio.schema.fetch.v11.request import FetchPartition, FetchTopic
from kio.schema.produce.v8 import ProduceRequest
from kio.schema.produce.v8.request import PartitionProduceData, TopicProduceData

from localcloud.log.batch import HEADER, HEADER_SIZE, build, header_of, records
from localcloud_tests.support.kafka import RawClient


def make(kind: Any, **values: Any) -> Any:
    """An entity from plain values: kio's types are narrower than a test needs."""
    return kind(**values)


def produce(batch: bytes | None, topic: str = "events", partition: int = 0, **values: Any) -> Any:
    data = make(PartitionProduceData, index=partition, records=batch)
    return make(
        ProduceRequest,
        **{"acks": -1, "timeout": timedelta(seconds=5)} | values,
        topic_data=(make(TopicProduceData, name=topic, partition_data=(data,)),),
    )


def fetch(offset: int, topic: str = "events", partitions: tuple[int, ...] = (0,), **values: Any) -> Any:
    limits = {"max_wait": timedelta(), "min_bytes": 1, "max_bytes": 1 << 20, "isolation_level": 0} | values
    partition_max_bytes = limits.pop("partition_max_bytes", 1 << 20)
    parts = tuple(
        make(FetchPartition, partition=number, fetch_offset=offset, partition_max_bytes=partition_max_bytes)
        for number in partitions
    )
    return make(
        FetchRequest,
        **limits,
        replica_id=-1,
        topics=(make(FetchTopic, topic=topic, partitions=parts),),
        forgotten_topics_data=(),
    )


def values(data: bytes) -> list[bytes | None]:
    """The records' values of an answer's batches."""
    found = []
    while data:
        size = header_of(data).size
        found += [record.value for record in records(data[:size])]
        data = data[size:]
    return found


def plain(*contents: bytes, timestamp: int = 1000) -> bytes:
    return build([(b"k", content) for content in contents], timestamp)


def with_header(batch: bytes, *, body: bytes | None = None, **changes: int) -> bytes:
    """The batch with another header, its CRC made right again."""
    content = batch[HEADER_SIZE:] if body is None else body
    header = header_of(batch)._replace(batch_length=HEADER_SIZE - 12 + len(content), **changes)
    data = bytearray(HEADER.pack(*header) + content)
    struct.pack_into(">I", data, 17, crc32c(bytes(data[21:])))
    return bytes(data)


def with_deltas(batch: bytes, deltas: list[tuple[int, int]]) -> bytes:
    """The batch with such deltas of offset and timestamp in its records, its CRC made right again."""
    body = b""
    for record, (offset, timestamp) in zip(records(batch), deltas, strict=True):
        content = b"\0" + b"".join(map(_varint, (timestamp, offset)))
        for field in (record.key, record.value):
            content += _varint(-1) if field is None else _varint(len(field)) + field
        body += _varint(len(content) + 1) + content + b"\0"
    return with_header(batch, body=body)


def _varint(value: int) -> bytes:
    rest = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*encoded, rest])


async def produced(client: RawClient, request: Any) -> Any:
    return (await client.call(request)).responses[0].partition_responses[0]


async def fetched(client: RawClient, request: Any) -> Any:
    return (await client.call(request)).responses[0].partitions[0]


def topic(name: str = "made", partitions: int = 1, replicas: int = 1, **values: Any) -> Any:
    fields = {"configs": (), "assignments": ()} | values
    return make(CreatableTopic, name=name, num_partitions=partitions, replication_factor=replicas, **fields)


def configs(**values: str | None) -> dict[str, Any]:
    return {
        "configs": tuple(
            make(CreatableTopicConfig, name=name.replace("_", "."), value=value) for name, value in values.items()
        )
    }


async def created(client: RawClient, *topics: Any, validate_only: bool = False) -> list[Any]:
    request = make(CreateTopicsRequest, topics=topics, timeout=timedelta(seconds=5), validate_only=validate_only)
    return list((await client.call(request)).topics)
