"""Configurations of topics: how values are read when one is created, and what is told of them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from kio.schema.describe_configs.v4 import DescribeConfigsRequest
from kio.schema.describe_configs.v4.request import DescribeConfigsResource
from kio.schema.errors import ErrorCode

from localcloud.kafka.server import KafkaServer
from localcloud.log.store import LogStore
from localcloud.sas import Keys
from localcloud_tests.support.kafka import RawClient
from localcloud_tests.support.kafka_requests import configs, created, make, topic
from localcloud_tests.unit.kafka.conftest import Connect

NONE = ErrorCode.none


@pytest.fixture
async def server(store: LogStore) -> AsyncIterator[KafkaServer]:
    """As the one of the other tests, and clients may create topics."""
    async with KafkaServer(store, Keys(), port=0, create_topics=True) as server:
        yield server


async def described(client: RawClient, kind: int, name: str, keys: tuple[str, ...] | None = None) -> Any:
    resource = make(DescribeConfigsResource, resource_type=kind, resource_name=name, configuration_keys=keys)
    request = make(DescribeConfigsRequest, resources=(resource,), include_synonyms=True)
    return (await client.call(request)).results[0]


async def test_values_of_configurations_are_read_as_kafka_reads_them(connect: Connect) -> None:
    client = await connect()
    wanted = topic(**configs(cleanup_policy=" compact ,delete", preallocate="TRUE", retention_ms=" 60000 "))
    (result,) = await created(client, wanted)
    assert result.error_code is NONE
    rows = {row.name: row.value for row in (await described(client, 2, "made")).configs}
    assert rows["cleanup.policy"] == "compact"
    (refused,) = await created(client, topic("other", **configs(cleanup_policy="compact delete")))
    assert refused.error_code is ErrorCode.invalid_config


async def test_configurations_name_their_sources(connect: Connect) -> None:
    client = await connect()
    rows = {row.name: row for row in (await described(client, 2, "tables")).configs}
    default, own = 5, 1
    assert (rows["cleanup.policy"].value, rows["cleanup.policy"].config_source) == ("compact", own)
    assert [(each.value, each.source) for each in rows["cleanup.policy"].synonyms] == [
        ("compact", own),
        ("delete", default),
    ]
    assert (rows["compression.type"].config_source, len(rows["compression.type"].synonyms)) == (default, 1)
    assert {row.config_source for row in (await described(client, 2, "events")).configs} == {default}
    assert [row.name for row in (await described(client, 2, "events", ("retention.ms",))).configs] == ["retention.ms"]
    assert len((await described(client, 2, "events", ())).configs) == len(rows)
    broker = {row.name: row for row in (await described(client, 4, "0")).configs}
    assert broker["auto.create.topics.enable"].value == "true"
    assert ({row.read_only for row in rows.values()}, {row.read_only for row in broker.values()}) == ({False}, {True})


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        (2, "nothing-here", ErrorCode.unknown_topic_or_partition),
        (2, "not a name", ErrorCode.invalid_topic_exception),
        (4, "7", ErrorCode.invalid_request),
        (8, "0", ErrorCode.invalid_request),
        (99, "", ErrorCode.invalid_request),
    ],
)
async def test_configurations_of_what_is_not_there(connect: Connect, kind: int, name: str, error: ErrorCode) -> None:
    answer = await described(await connect(), kind, name)
    assert (answer.error_code, answer.configs) == (error, ())
