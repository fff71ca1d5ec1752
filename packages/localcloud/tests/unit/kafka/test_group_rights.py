"""Consumer groups are of those who may receive."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from kio.schema.delete_groups.v2 import DeleteGroupsRequest
from kio.schema.errors import ErrorCode
from kio.schema.join_group.v9 import JoinGroupRequest
from kio.schema.join_group.v9.request import JoinGroupRequestProtocol
from kio.schema.offset_commit.v8 import OffsetCommitRequest
from kio.schema.offset_commit.v8.request import OffsetCommitRequestPartition, OffsetCommitRequestTopic

from localcloud.kafka.server import KafkaServer
from localcloud.log.store import LogStore
from localcloud.sas import AccessRule, Keys, Right
from localcloud_tests.support.kafka import RawClient
from localcloud_tests.support.kafka_requests import make
from localcloud_tests.unit.kafka.conftest import Connect

RULES: dict[str, dict[str, AccessRule]] = {
    "": {
        "send": AccessRule(("secret",), frozenset({Right.SEND})),
        "listen": AccessRule(("secret",), frozenset({Right.LISTEN})),
    },
    "other": {"listen-to-other": AccessRule(("secret",), frozenset({Right.LISTEN}))},
}


@pytest.fixture
async def server(store: LogStore) -> AsyncIterator[KafkaServer]:
    keys = Keys(rules=lambda path: RULES.get(path, {}))
    async with KafkaServer(store, keys, port=0, session_ms=(100, 300_000)) as server:
        yield server


def password(name: str, hub: str = "") -> str:
    shown = f"Endpoint=sb://127.0.0.1;SharedAccessKeyName={name};SharedAccessKey=secret"
    return f"{shown};EntityPath={hub}" if hub else shown


async def join(client: RawClient) -> Any:
    request = make(
        JoinGroupRequest,
        group_id="readers",
        session_timeout=timedelta(seconds=30),
        rebalance_timeout=timedelta(seconds=30),
        member_id="",
        group_instance_id=None,
        protocol_type="consumer",
        protocols=(JoinGroupRequestProtocol(name="range", metadata=b"m"),),
        reason=None,
    )
    return (await client.call(request)).error_code


async def commit(client: RawClient, hub: str) -> None:
    part = make(OffsetCommitRequestPartition, partition_index=0, committed_offset=1, committed_metadata="")
    topic = make(OffsetCommitRequestTopic, name=hub, partitions=(part,))
    request = make(
        OffsetCommitRequest, group_id="readers", generation_id_or_member_epoch=-1, member_id="", topics=(topic,)
    )
    (row,) = (await client.call(request)).topics[0].partitions
    assert row.error_code is ErrorCode.none


async def delete(client: RawClient) -> Any:
    return (await client.call(make(DeleteGroupsRequest, groups_names=("readers",)))).results[0].error_code


@pytest.mark.parametrize(
    ("shown", "error"),
    [
        (password("send"), ErrorCode.group_authorization_failed),
        (password("listen"), ErrorCode.member_id_required),
        (password("listen-to-other", "Other"), ErrorCode.member_id_required),
    ],
)
async def test_to_join_takes_the_right_to_receive(connect: Connect, shown: str, error: ErrorCode) -> None:
    assert await join(await connect(password=shown)) is error


async def test_a_group_is_deleted_by_who_may_commit_all_of_it(connect: Connect) -> None:
    reader = await connect(password=password("listen"))
    await commit(reader, "events")
    await commit(reader, "Other")
    for shown in (password("send"), password("listen-to-other", "Other")):
        assert await delete(await connect(password=shown)) is ErrorCode.group_authorization_failed
    assert await delete(reader) is ErrorCode.none
    assert await delete(reader) is ErrorCode.group_id_not_found
