"""Topics, subscriptions and their rules, through Azure's client for asyncio."""

from datetime import UTC, datetime, timedelta

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient

WAIT = 60


async def publish(bus: ServiceBusClient, *messages: ServiceBusMessage) -> None:
    async with bus.get_topic_sender("news") as sender:
        await sender.send_messages(list(messages))


async def take(bus: ServiceBusClient, subscription: str, count: int) -> list[ServiceBusReceivedMessage]:
    """All that the subscription has, which should be `count` messages."""
    got: list[ServiceBusReceivedMessage] = []
    async with bus.get_subscription_receiver(
        "news", subscription, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
    ) as receiver:
        while len(got) < count:
            more = await receiver.receive_messages(count, max_wait_time=WAIT)
            assert more, f"{len(got)} of {count} came"
            got += more
        assert await receiver.peek_messages(5) == []
    return got


async def test_rules_choose_and_change(bus: ServiceBusClient) -> None:
    await publish(
        bus,
        ServiceBusMessage("loud song", subject="song", application_properties={"volume": 7, "colour": "blue"}),
        ServiceBusMessage("silent song", subject="song", application_properties={"volume": 1, "colour": "red"}),
        ServiceBusMessage("loud talk", subject="talk", application_properties={"volume": 9}),
        ServiceBusMessage("nothing known"),
    )
    everything = await take(bus, "all", 4)
    assert [str(message) for message in everything] == ["loud song", "silent song", "loud talk", "nothing known"]
    (loud,) = await take(bus, "loud", 1)
    assert str(loud) == "loud song"
    assert loud.application_properties == {b"volume": 14, b"colour": b"blue", b"heard": True}
    assert everything[0].application_properties == {b"volume": 7, b"colour": b"blue"}
    (red,) = await take(bus, "red", 1)
    assert str(red) == "silent song"


async def test_what_is_scheduled_is_published_in_time(bus: ServiceBusClient) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    async with bus.get_topic_sender("news") as sender:
        cancelled, _ = await sender.schedule_messages([ServiceBusMessage("no"), ServiceBusMessage("yes")], soon)
        await sender.cancel_scheduled_messages(cancelled)
    (message,) = await take(bus, "all", 1)
    assert str(message) == "yes"
    assert datetime.now(UTC) >= soon


async def test_each_subscription_settles_for_itself(bus: ServiceBusClient) -> None:
    await publish(bus, ServiceBusMessage("x", application_properties={"colour": "red"}))
    async with bus.get_subscription_receiver("news", "red") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=WAIT)
        await receiver.dead_letter_message(message, reason="red")
    async with bus.get_subscription_receiver("news", "red", sub_queue="deadletter") as dead:
        (message,) = await dead.receive_messages(1, max_wait_time=WAIT)
        assert message.dead_letter_source == "news/subscriptions/red"
        await dead.complete_message(message)
    assert [str(message) for message in await take(bus, "all", 1)] == ["x"]
