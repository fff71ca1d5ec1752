"""Faults on links of a queue, under the SDK's own retries and without them."""

import gc
from collections.abc import AsyncIterator, Iterator

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusServerBusyError

from localcloud.testing import LocalCloudProcess

# Azure's SDK leaves its old socket to the garbage collector when the connection goes away.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Sockets that are left behind are found here, where their warnings are passed over."""
    yield
    gc.collect()


@pytest.fixture
async def patient(connection_string: str) -> AsyncIterator[ServiceBusClient]:
    """A client that tries again, at once."""
    async with ServiceBusClient.from_connection_string(connection_string, retry_backoff_factor=0.01) as client:
        yield client


def rule(queue: str, kind: str, operation: str, **more: object) -> dict[str, object]:
    return {"service": "servicebus", "kind": kind, "operation": operation, "entity": queue, **more}


async def bodies(bus: ServiceBusClient, queue: str) -> list[str]:
    async with bus.get_queue_receiver(queue) as receiver:
        return [str(message) for message in await receiver.peek_messages(10)]


async def test_a_busy_server_is_asked_again(cloud: LocalCloudProcess, patient: ServiceBusClient, queue: str) -> None:
    with cloud.faults(rule(queue, "busy", "send", count=2)) as fired:
        async with patient.get_queue_sender(queue) as sender:
            await sender.send_messages(ServiceBusMessage("a"))
        assert fired() == [2]
    assert await bodies(patient, queue) == ["a"]


async def test_a_busy_server_surfaces_where_retries_are_off(
    cloud: LocalCloudProcess, bus: ServiceBusClient, queue: str
) -> None:
    with cloud.faults(rule(queue, "busy", "send")):
        async with bus.get_queue_sender(queue) as sender:
            with pytest.raises(ServiceBusServerBusyError):
                await sender.send_messages(ServiceBusMessage("a"))
    assert await bodies(bus, queue) == []


@pytest.mark.parametrize("kind", ["drop", "detach"])
async def test_links_come_back(cloud: LocalCloudProcess, patient: ServiceBusClient, queue: str, kind: str) -> None:
    with cloud.faults(rule(queue, kind, "send", count=1), rule(queue, kind, "receive", count=1)) as fired:
        async with patient.get_queue_sender(queue) as sender:
            await sender.send_messages(ServiceBusMessage("a"))
        async with patient.get_queue_receiver(queue) as receiver:
            received: list[ServiceBusReceivedMessage] = []
            while not received:
                received = await receiver.receive_messages(1, max_wait_time=5)
            assert str(received[0]) == "a"
            await receiver.complete_message(received[0])
        assert fired() == [1, 1]
    assert await bodies(patient, queue) == []


async def test_a_lost_answer_makes_the_sender_send_again(
    cloud: LocalCloudProcess, patient: ServiceBusClient, queue: str
) -> None:
    with cloud.faults(rule(queue, "lose", "send", count=1)):
        async with patient.get_queue_sender(queue) as sender:
            await sender.send_messages(ServiceBusMessage("a"))
    assert await bodies(patient, queue) == ["a", "a"]


async def test_a_message_comes_again_while_it_is_held(
    cloud: LocalCloudProcess, bus: ServiceBusClient, queue: str
) -> None:
    async with bus.get_queue_sender(queue) as sender:
        await sender.send_messages(ServiceBusMessage("a"))
    with cloud.faults(rule(queue, "duplicate", "receive", count=1)):
        async with bus.get_queue_receiver(queue) as receiver:
            (first,) = await receiver.receive_messages(1, max_wait_time=60)
            (again,) = await receiver.receive_messages(1, max_wait_time=60)
            assert (first.message_id, first.delivery_count, again.delivery_count) == (again.message_id, 0, 1)
            await receiver.complete_message(again)
            with pytest.raises(MessageLockLostError):
                await receiver.complete_message(first)
    assert await bodies(bus, queue) == []
