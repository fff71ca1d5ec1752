"""What was acknowledged is there after SIGKILL: messages, locks, states, numbers."""

import asyncio
import gc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from localcloud.testing import LocalCloudProcess
from localcloud_tests.integration.servicebus.conftest import config, write_config

WAIT = 60


# The SDK leaves the sockets of connections that broke to the garbage collector, which warns of them.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[LocalCloudProcess]:
    """A localcloud to be killed."""
    cloud = LocalCloudProcess(
        tmp_path / "cloud", ["--servicebus-config", str(write_config(tmp_path, config()))]
    ).start()
    yield cloud
    cloud.stop()
    gc.collect()


def client(cloud: LocalCloudProcess) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(cloud.servicebus_connection_string, retry_total=0)


async def receive(
    bus: ServiceBusClient, queue: str, count: int, sub_queue: str | None = None
) -> list[ServiceBusReceivedMessage]:
    async with bus.get_queue_receiver(queue, sub_queue=sub_queue) as receiver:
        got: list[ServiceBusReceivedMessage] = []
        while len(got) < count:
            more = await receiver.receive_messages(count - len(got), max_wait_time=WAIT)
            assert more, f"{len(got)} of {count} came"
            got += more
            for message in more:
                await receiver.complete_message(message)
        return got


async def test_every_state_survives(mortal: LocalCloudProcess) -> None:
    big = bytes(range(256)) * 1024
    later = datetime.now(UTC) + timedelta(minutes=10)
    async with client(mortal) as bus:
        async with bus.get_queue_sender("big") as sender:
            sent = ServiceBusMessage(big, message_id="big", application_properties={"a": 1})
            sent.raw_amqp_message.delivery_annotations = {"d": 2}
            await sender.send_messages(sent)
            await sender.send_messages([ServiceBusMessage(name, message_id=name) for name in ("d", "l", "x", "k")])
            (scheduled,) = await sender.schedule_messages([ServiceBusMessage("s", message_id="s")], later)
        receiver = bus.get_queue_receiver("big")
        first, deferred, locked, dead = await _four(receiver)
        await receiver.abandon_message(first)
        await receiver.defer_message(deferred)
        await receiver.dead_letter_message(dead, reason="why")
        async with bus.get_queue_sender("once") as sender:
            await sender.send_messages(ServiceBusMessage("1", message_id="same"))
        async with bus.get_queue_receiver("sessions", session_id="kept") as session_receiver:
            await session_receiver.session.set_state(b"state")
        mortal.kill()
        await receiver.close()
    mortal.start()
    async with client(mortal) as bus:
        async with bus.get_queue_receiver("big") as receiver:
            peeked = {message.message_id: message for message in await receiver.peek_messages(10, sequence_number=1)}
            assert set(peeked) == {"big", "d", "l", "k", "s"}
            assert b"".join(peeked["big"].body) == big
            assert peeked["big"].delivery_count == 1
            assert peeked["big"].raw_amqp_message.delivery_annotations == {b"d": 2}
            assert [peeked[name].state.name for name in ("d", "l", "s")] == ["DEFERRED", "ACTIVE", "SCHEDULED"]
            (again,) = await receiver.receive_deferred_messages(deferred.sequence_number or 0)
            await receiver.complete_message(again)
        # The lock on the third outlives both its connection and the server.
        got = await receive(bus, "big", 2)
        assert [message.message_id for message in got] == ["big", "k"]
        assert locked.message_id == "l"
        (buried,) = await receive(bus, "big", 1, sub_queue="deadletter")
        assert (buried.message_id, buried.dead_letter_reason) == ("x", "why")
        async with bus.get_queue_sender("big") as sender:
            await sender.cancel_scheduled_messages(scheduled)
            await sender.send_messages(ServiceBusMessage("new", message_id="new"))
        (new,) = await receive(bus, "big", 1)
        assert (new.sequence_number or 0) > scheduled
        async with bus.get_queue_sender("once") as sender:
            await sender.send_messages(ServiceBusMessage("2", message_id="same"))
        (only,) = await receive(bus, "once", 1)
        assert str(only) == "1"
        async with bus.get_queue_receiver("once") as receiver:
            assert await receiver.peek_messages(1) == []
        async with bus.get_queue_receiver("sessions", session_id="kept") as session_receiver:
            assert await session_receiver.session.get_state() == b"state"
    bodies = list((mortal.data / "servicebus" / "bodies").iterdir())
    assert bodies == []


async def _four(receiver: object) -> list[ServiceBusReceivedMessage]:
    got: list[ServiceBusReceivedMessage] = []
    while len(got) < 4:
        got += await receiver.receive_messages(4 - len(got), max_wait_time=WAIT)  # type: ignore[attr-defined] # aio's
    return got


async def test_killed_at_any_moment_nothing_acknowledged_is_lost_or_comes_back(mortal: LocalCloudProcess) -> None:
    sent: set[str] = set()
    unsure: set[str] = set()
    completing: set[str] = set()
    done: set[str] = set()
    killed = asyncio.Event()

    async def produce() -> None:
        async with client(mortal) as bus, bus.get_queue_sender("fresh0") as sender:
            for number in range(10_000):
                name = f"m{len(sent)}-{number}"
                unsure.add(name)
                try:
                    await sender.send_messages(ServiceBusMessage(name, message_id=name))
                except ServiceBusError:
                    return
                unsure.discard(name)
                sent.add(name)
                if len(sent) % 150 == 0:
                    mortal.kill()
                    killed.set()

    async def consume() -> None:
        async with client(mortal) as bus, bus.get_queue_receiver("fresh0") as receiver:
            while not killed.is_set():
                try:
                    for message in await receiver.receive_messages(10, max_wait_time=1):
                        name = message.message_id or ""
                        assert name not in done
                        completing.add(name)
                        await receiver.complete_message(message)
                        completing.discard(name)
                        done.add(name)
                except (ServiceBusError, ValueError):
                    return

    for _ in range(2):
        killed.clear()
        await asyncio.gather(produce(), consume(), return_exceptions=False)
        mortal.start()
    async with client(mortal) as bus, bus.get_queue_receiver("fresh0") as receiver:
        left: set[str] = set()
        start = 1
        while page := await receiver.peek_messages(100, sequence_number=start):
            left |= {message.message_id or "" for message in page}
            start = (page[-1].sequence_number or 0) + 1
    assert len(sent) >= 300
    assert len(done) >= 10
    # What was under way when the server died, one of each a time, may have happened or not.
    assert len(unsure) <= 2
    assert len(completing) <= 2
    assert sent <= left | done | completing
    assert left | done <= sent | unsure
    assert not left & done
