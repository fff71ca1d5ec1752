"""Events in and out through azure-eventhub."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub import PartitionContext as SyncPartitionContext
from azure.eventhub.aio import PartitionContext
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType
from azure.eventhub.exceptions import AuthenticationError, EventDataSendError, EventHubError

from localcloud.eventhubs.partition_key import partition_of
from localcloud_tests.integration.eventhubs.hub import Hub, bodies, body_of, time_of


async def test_hub_and_partition_information(hub: Hub) -> None:
    before = datetime.now(UTC)
    await hub.send("a", "b", partition_id="1")
    async with hub.producer() as producer:
        about_hub = await producer.get_eventhub_properties()
        empty = await producer.get_partition_properties("0")
        filled = await producer.get_partition_properties("1")
    assert about_hub["eventhub_name"] == hub.name
    assert about_hub["partition_ids"] == ["0", "1", "2", "3"]
    assert abs(about_hub["created_at"] - before) < timedelta(minutes=10)
    assert empty["is_empty"]
    assert empty["last_enqueued_sequence_number"] == -1
    assert not filled["is_empty"]
    assert filled["beginning_sequence_number"] == 0
    assert filled["last_enqueued_sequence_number"] == 1
    assert filled["last_enqueued_offset"] == "1"
    assert filled["last_enqueued_time_utc"] >= before - timedelta(seconds=1)


async def test_a_batch_for_a_partition_arrives_there_in_order(hub: Hub) -> None:
    sent = [str(number) for number in range(1000)]
    await hub.send(*sent, partition_id="2")
    events = await hub.receive(1000)
    assert bodies(events) == sent
    assert {partition for partition, _ in events} == {"2"}
    assert [event.sequence_number for _, event in events] == list(range(1000))
    assert [event.offset for _, event in events] == sent


async def test_events_of_a_key_stay_together_whatever_client_sends_them(hub: Hub) -> None:
    """Plain sends leave the choice to the service, buffered ones make it themselves."""
    keys = [f"user-{number}" for number in range(12)]
    for key in keys:
        await hub.send(f"plain {key}", partition_key=key)

    async def nothing(*_: Any) -> None:
        pass

    async with hub.producer(buffered_mode=True, on_success=nothing, on_error=nothing) as producer:
        for key in keys:
            await producer.send_event(EventData(f"buffered {key}"), partition_key=key)
        await producer.flush()
    events = await hub.receive(2 * len(keys))
    where = {event.body_as_str(): partition for partition, event in events}
    for key in keys:
        assert where[f"plain {key}"] == where[f"buffered {key}"] == str(partition_of(key, 4))
    plain = [event for _, event in events if event.body_as_str().startswith("plain")]
    assert {event.partition_key for event in plain} == {key.encode() for key in keys}


async def test_events_without_key_take_turns(hub: Hub) -> None:
    async with hub.producer() as producer:
        for number in range(8):
            await producer.send_event(EventData(str(number)))
    events = await hub.receive(8)
    assert sorted(partition for partition, _ in events) == sorted("0123" * 2)


async def test_everything_of_an_event_survives(hub: Hub) -> None:
    event = EventData(b"\x00\xff")
    event.properties = {"text": "é", "number": 5, "float": 1.5, "flag": True, "bytes": b"\x01", "none": None}
    event.message_id = "id-1"
    event.correlation_id = "correlation"
    event.content_type = "application/json"
    event.raw_amqp_message.annotations["x-mine"] = "annotation"  # type: ignore[index] # the SDK's own union
    async with hub.producer() as producer:
        await producer.send_event(event, partition_key="key")
    [(_, got)] = await hub.receive(1)
    assert body_of(got) == b"\x00\xff"
    assert got.properties == {
        b"text": "é".encode(),
        b"number": 5,
        b"float": 1.5,
        b"flag": True,
        b"bytes": b"\x01",
        b"none": None,
    }
    assert (got.message_id, got.correlation_id, got.content_type) == ("id-1", "correlation", "application/json")
    assert got.raw_amqp_message.annotations[b"x-mine"] == b"annotation"  # type: ignore[index]
    assert got.partition_key == b"key"
    assert abs(time_of(got) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"value_body": {"a": [1, 2]}}, AmqpMessageBodyType.VALUE),
        ({"sequence_body": [[1, 2], ["x"]]}, AmqpMessageBodyType.SEQUENCE),
    ],
)
async def test_other_bodies_survive(hub: Hub, fields: dict[str, Any], kind: AmqpMessageBodyType) -> None:
    async with hub.producer() as producer:
        await producer.send_event(AmqpAnnotatedMessage(**fields))
    [(_, got)] = await hub.receive(1)
    assert got.body_type == kind


@pytest.mark.parametrize(
    ("position", "inclusive", "expected"),
    [
        ("-1", False, "0 1 2 3 4"),
        ("2", False, "3 4"),
        ("2", True, "2 3 4"),
        (2, False, "3 4"),
        (2, True, "2 3 4"),
    ],
)
async def test_starting_positions(hub: Hub, position: Any, inclusive: bool, expected: str) -> None:
    await hub.send(*"01234", partition_id="0")
    events = await hub.receive(
        len(expected.split()),
        starting_position=position,
        starting_position_inclusive=inclusive,
        partition_id="0",
    )
    assert " ".join(bodies(events)) == expected


async def test_starting_at_a_time(hub: Hub) -> None:
    await hub.send("early", partition_id="0")
    [(_, early)] = await hub.receive(1)
    await hub.send("late", partition_id="0")  # some milliseconds later: a connection is opened for it
    [(_, late)] = await hub.receive(1, starting_position=time_of(early), partition_id="0")
    assert late.body_as_str() == "late"
    both = await hub.receive(2, starting_position=time_of(early), starting_position_inclusive=True, partition_id="0")
    assert bodies(both) == ["early", "late"]


async def test_latest_is_what_comes_after(hub: Hub) -> None:
    await hub.send("before", partition_id="0")
    ready = asyncio.Event()

    async def send_until_ready() -> None:
        number = 0
        while not ready.is_set():
            await hub.send(f"after {number}", partition_id="0")
            number += 1

    sending = asyncio.create_task(send_until_ready())
    events = await hub.receive(2, starting_position="@latest", partition_id="0")
    ready.set()
    await sending
    assert all(body.startswith("after") for body in bodies(events))


async def test_the_end_of_the_partition_is_told_with_the_events(hub: Hub) -> None:
    await hub.send("a", "b", "c", partition_id="3")
    seen: list[dict[str, Any]] = []
    done = asyncio.Event()

    async def on_event(context: PartitionContext, event: EventData | None) -> None:
        assert event is not None
        seen.append(dict(context.last_enqueued_event_properties or {}))
        if len(seen) == 3:
            done.set()

    async with hub.consumer() as consumer:
        receiving = asyncio.create_task(
            consumer.receive(
                on_event, partition_id="3", starting_position="-1", track_last_enqueued_event_properties=True
            )
        )
        await asyncio.wait_for(done.wait(), 60)
        receiving.cancel()
    assert {info["sequence_number"] for info in seen} == {2}
    assert {info["offset"] for info in seen} == {"2"}
    assert all(info["enqueued_time"] <= info["retrieval_time"] for info in seen)


async def test_consumer_groups_read_independently_and_names_have_no_case(hub: Hub) -> None:
    await hub.send("x", partition_id="0")
    assert bodies(await hub.receive(1, group="SECOND")) == ["x"]
    assert bodies(await Hub(hub.cloud, hub.name.upper()).receive(1, group="$default")) == ["x"]


async def test_an_event_of_a_megabyte(hub: Hub) -> None:
    body = b"x" * (1_048_576 - 200)
    async with hub.producer() as producer:
        batch = await producer.create_batch(partition_id="0")
        batch.add(EventData(body))
        await producer.send_batch(batch)
        assert batch.max_size_in_bytes == 1_048_576
        with pytest.raises(ValueError, match="size limit"):
            (await producer.create_batch()).add(EventData(body + b"y" * 200))
    [(_, got)] = await hub.receive(1)
    assert body_of(got) == body


async def test_one_above_the_limit_is_rejected_and_nothing_of_it_kept(hub: Hub) -> None:
    async with hub.producer(retry_total=0) as producer:
        batch = await producer.create_batch(partition_id="0")
        batch.max_size_in_bytes = 10_000_000  # the SDK would not let it go otherwise
        batch.add(EventData(b"x" * 1_048_577))
        with pytest.raises(EventDataSendError, match="the link allows 1048576"):
            await producer.send_batch(batch)
        properties = await producer.get_partition_properties("0")
    assert properties["is_empty"]


async def test_unknown_names_are_not_found(hub: Hub) -> None:
    async with Hub(hub.cloud, "nowhere").producer(retry_total=0) as producer:
        with pytest.raises(AuthenticationError, match="'nowhere' could not be found"):
            await producer.get_eventhub_properties()
        with pytest.raises(AuthenticationError, match="'nowhere' could not be found"):
            await producer.send_event(EventData("x"))
    async with hub.producer(retry_total=0) as producer:
        with pytest.raises(EventHubError, match="could not be found"):
            await producer.get_partition_properties("4")
    assert "could not be found" in await hub.error(group="unknown", partition_id="0")


async def test_a_position_beyond_the_end_is_an_error(hub: Hub) -> None:
    assert "beyond the end" in await hub.error(partition_id="0", starting_position=5)


def test_the_synchronous_clients(hub: Hub) -> None:
    with EventHubProducerClient.from_connection_string(hub.connection_string, eventhub_name=hub.name) as producer:
        assert producer.get_partition_ids() == ["0", "1", "2", "3"]
        batch = producer.create_batch(partition_key="key")
        for number in range(500):
            batch.add(EventData(str(number)))
        producer.send_batch(batch)
        producer.send_event(EventData("last"), partition_key="key")
    events: list[EventData] = []
    enough = threading.Event()

    def on_batch(_: SyncPartitionContext, batch: list[EventData]) -> None:
        events.extend(batch)
        if len(events) >= 501:
            enough.set()

    with EventHubConsumerClient.from_connection_string(
        hub.connection_string, "$Default", eventhub_name=hub.name
    ) as consumer:
        receiving = threading.Thread(
            target=consumer.receive_batch,
            args=(on_batch,),
            kwargs={"partition_id": str(partition_of("key", 4)), "starting_position": "-1"},
        )
        receiving.start()
        assert enough.wait(30)
    receiving.join(30)
    assert not receiving.is_alive()
    assert [event.body_as_str() for event in events] == [*map(str, range(500)), "last"]
