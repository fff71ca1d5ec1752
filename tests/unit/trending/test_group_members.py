"""Which partitions a group says that its members have: whatever it answers, a worker starts."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from songline.processors.trending.faust.group_members import _held

ASSIGNED = ConsumerProtocolMemberAssignment(0, [("music-events", [1, 2])], b"").encode()


def answering(*groups: tuple[Any, ...]) -> Any:
    """A client to which the coordinator answers with these groups."""

    async def send(*_: object) -> Any:
        return SimpleNamespace(groups=groups)

    return SimpleNamespace(send=send)


def group(*assignments: bytes) -> tuple[Any, ...]:
    """A group as DescribeGroups has it, with a member for each assignment."""
    members = [(f"member-{number}", "", "", b"", one) for number, one in enumerate(assignments)]
    return 0, "g", "Stable", "consumer", "range", members


async def test_members_have_what_the_group_assigned() -> None:
    held = await _held(answering(group(ASSIGNED, b"")), 0, "g")
    assert held == {"member-0": [TopicPartition("music-events", 1), TopicPartition("music-events", 2)]}


@pytest.mark.parametrize(
    "groups", [(), (group(), group()), (group(b"no assignment"),), (group(ASSIGNED[:-9]),), ((0,),)]
)
async def test_of_an_answer_that_says_something_else_nothing_is_known(groups: tuple[Any, ...]) -> None:
    assert await _held(answering(*groups), 0, "g") == {}


async def test_without_an_answer_nothing_is_known() -> None:
    async def send(*_: object) -> Any:
        raise KafkaConnectionError("away")

    client: Any = SimpleNamespace(send=send)
    assert await _held(client, 0, "g") == {}
