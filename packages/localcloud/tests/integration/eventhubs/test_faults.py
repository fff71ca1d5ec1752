"""Faults on links of a hub, under the SDK's own retries."""

import asyncio
import gc
from collections.abc import Iterator

import pytest
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventDataSendError

from localcloud_tests.integration.eventhubs.hub import Hub, bodies

# Azure's SDK leaves its old socket to the garbage collector when the connection goes away.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Sockets that are left behind are found here, where their warnings are passed over."""
    yield
    gc.collect()


def rule(hub: Hub, kind: str, operation: str, **more: object) -> dict[str, object]:
    return {"service": "eventhubs", "kind": kind, "operation": operation, "entity": f"{hub.name}*", **more}


async def test_a_busy_server_is_asked_once_more(hub: Hub) -> None:
    """And no more, however many retries there are: after that the SDK leaves it to the application."""
    async with hub.producer() as producer:
        with hub.cloud.faults(rule(hub, "busy", "send", count=1)) as fired:
            await producer.send_event(EventData("a"))
            assert fired() == [1]
        with hub.cloud.faults(rule(hub, "busy", "send")), pytest.raises(EventDataSendError, match="server-busy"):
            await producer.send_event(EventData("b"))
        await producer.send_event(EventData("c"))
    assert sorted(bodies(await hub.receive(2))) == ["a", "c"]


@pytest.mark.parametrize("kind", ["drop", "detach"])
async def test_a_producer_and_a_consumer_come_back(hub: Hub, kind: str) -> None:
    sent = [str(number) for number in range(5)]
    faults = [rule(hub, kind, "send", after=2, count=1), rule(hub, kind, "receive", after=1, count=1)]
    with hub.cloud.faults(*faults) as fired:
        async with hub.producer(retry_backoff_factor=0.01) as producer:
            for body in sent:
                await producer.send_event(EventData(body), partition_id="0")
        received: list[str] = []
        done = asyncio.Event()

        async def on_event(context: object, event: EventData | None) -> None:
            if event is not None:
                received.append(event.body_as_str())
            if set(received) == set(sent):
                done.set()

        async with hub.consumer(retry_backoff_factor=0.01) as consumer:
            receiving = asyncio.create_task(consumer.receive(on_event, partition_id="0", starting_position="-1"))
            await asyncio.wait_for(done.wait(), 60)
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
        assert fired() == [1, 1]
    # The SDK reads on behind what it has handed over. What had come and waited when the link was cut comes twice.
    assert list(dict.fromkeys(received)) == sent


async def test_a_lost_answer_makes_the_producer_send_again(hub: Hub) -> None:
    with hub.cloud.faults(rule(hub, "lose", "send", count=1)):
        async with hub.producer(retry_backoff_factor=0.01) as producer:
            await producer.send_event(EventData("twice"), partition_id="0")
    assert bodies(await hub.receive(2)) == ["twice", "twice"]


async def test_events_are_given_again_with_their_sequence_numbers(hub: Hub) -> None:
    await hub.send("a", "b", partition_id="0")
    with hub.cloud.faults(rule(hub, "duplicate", "receive", count=1)):
        events = [event for _, event in await hub.receive(4)]
    assert [event.sequence_number for event in events] == [0, 1, 0, 1]


async def test_what_is_delayed_keeps_its_place(hub: Hub) -> None:
    faults = [rule(hub, "delay", "send", ms=50, probability=0.5, seed=3), rule(hub, "delay", "receive", ms=50, count=2)]
    with hub.cloud.faults(*faults) as fired:
        async with hub.producer() as producer:
            await asyncio.gather(
                *(producer.send_batch([EventData(str(number))], partition_id="0") for number in range(6))
            )
        stored = bodies(await hub.receive(6))
        assert min(fired()) > 0
    assert sorted(stored) == [str(number) for number in range(6)]
