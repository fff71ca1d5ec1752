"""Keys with fewer rights than all, of a namespace or of one entity: what the SDKs may do by them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError
from azure.core.exceptions import ClientAuthenticationError
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusAuthenticationError, ServiceBusError
from azure.servicebus.management import AuthorizationRule, ServiceBusAdministrationClient

from localcloud.published_keys import SAS_KEY, SAS_KEY_NAME
from localcloud.testing import ControlError, Declarations, LocalCloud, LocalCloudProcess
from localcloud_tests.support.kafka import aiokafka_options


def rule(name: str, *rights: str) -> dict[str, object]:
    return {"KeyName": name, "PrimaryKey": f"primary-of-{name}", "SecondaryKey": f"second-of-{name}", "Rights": rights}


HUBS = {
    "Name": "shop",
    "AuthorizationRules": [rule("senders", "Send"), rule("readers", "Listen")],
    "Entities": [
        {
            "Name": "orders",
            "PartitionCount": 1,
            "Properties": {"AuthorizationRules": [rule("order-readers", "Listen")]},
        },
        {"Name": "returns", "PartitionCount": 1},
    ],
}
BUS = {
    "AuthorizationRules": [rule("receivers", "Listen")],
    "Queues": [
        {"Name": "invoices", "Properties": {"AuthorizationRules": [rule("billing", "Send")]}},
        {"Name": "reminders"},
    ],
}


@pytest.fixture(scope="module")
def cloud(shared_localcloud: LocalCloudProcess, write: Callable[[str, object], Any]) -> Iterator[LocalCloud]:
    declared = Declarations(
        config=write("hubs.json", {"UserConfig": {"NamespaceConfig": [HUBS]}}),
        servicebus_config=write("bus.json", {"UserConfig": {"Namespaces": [BUS]}}),
    )
    with shared_localcloud.namespace(declared) as opened:
        yield opened


def by(connection: str, name: str, which: str = "primary") -> str:
    """The connection string with the key of that rule."""
    return connection.replace(SAS_KEY_NAME, name).replace(SAS_KEY, f"{which}-of-{name}")


def send(cloud: LocalCloud, name: str, hub: str, which: str = "primary") -> None:
    connection = by(cloud.eventhub_connection_string, name, which)
    with EventHubProducerClient.from_connection_string(connection, eventhub_name=hub, retry_total=0) as producer:
        producer.send_batch([EventData("tea")])


def partitions(cloud: LocalCloud, name: str, hub: str) -> list[str]:
    connection = by(cloud.eventhub_connection_string, name)
    with EventHubConsumerClient.from_connection_string(
        connection, "$Default", eventhub_name=hub, retry_total=0
    ) as consumer:
        return list(consumer.get_partition_ids())


def read(cloud: LocalCloud, name: str, hub: str) -> str:
    """The first event, or what the SDK reports."""
    connection = by(cloud.eventhub_connection_string, name)
    found: list[str] = []
    with EventHubConsumerClient.from_connection_string(
        connection, "$Default", eventhub_name=hub, retry_total=0
    ) as consumer:

        def on_event(context: Any, event: EventData | None) -> None:
            found.append("nothing" if event is None else event.body_as_str())
            consumer.close()

        def on_error(context: Any, error: Exception) -> None:
            found.append(str(error))
            consumer.close()

        consumer.receive(on_event, on_error=on_error, partition_id="0", starting_position="-1", max_wait_time=60)
    return found[0]


def test_a_key_of_the_namespace_sends_or_reads(cloud: LocalCloud) -> None:
    for which in ("primary", "second"):
        send(cloud, "senders", "orders", which)
    assert read(cloud, "readers", "orders") == "tea"
    assert read(cloud, "order-readers", "orders") == "tea"
    # Any right shows a hub's properties.
    assert partitions(cloud, "senders", "orders") == partitions(cloud, "order-readers", "orders") == ["0"]
    assert "'Listen' claim(s) are required" in read(cloud, "senders", "orders")
    for name, hub in (("readers", "orders"), ("order-readers", "orders"), ("order-readers", "returns")):
        with pytest.raises(EventHubError):
            send(cloud, name, hub)
    with pytest.raises(EventHubError):
        partitions(cloud, "order-readers", "returns")


async def test_over_kafka_too(cloud: LocalCloud) -> None:
    def options(name: str, entity: str = "") -> dict[str, Any]:
        password = by(cloud.eventhub_connection_string, name) + entity
        return {**aiokafka_options(cloud.kafka_bootstrap), "sasl_plain_password": password}

    async with AIOKafkaProducer(**options("senders")) as producer:
        await producer.send_and_wait("returns", b"milk", partition=0)
    async with AIOKafkaConsumer(auto_offset_reset="earliest", **options("readers")) as consumer:
        consumer.assign([TopicPartition("returns", 0)])
        assert (await asyncio.wait_for(consumer.getone(), 60)).value == b"milk"
    async with AIOKafkaProducer(**options("order-readers", ";EntityPath=orders")) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("orders", b"milk", partition=0)
    async with AIOKafkaConsumer(auto_offset_reset="earliest", **options("senders")) as consumer:
        consumer.assign([TopicPartition("returns", 0)])
        with pytest.raises(TopicAuthorizationFailedError):
            await asyncio.wait_for(consumer.getone(), 60)


def bus(cloud: LocalCloud, name: str) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(by(cloud.servicebus_connection_string, name), retry_total=0)


def test_a_key_of_a_queue_opens_that_queue(cloud: LocalCloud) -> None:
    with bus(cloud, "billing") as client:
        client.get_queue_sender("invoices").send_messages(ServiceBusMessage("tea"))
        with pytest.raises(ServiceBusError, match=r"'Listen' claim\(s\) are required"):
            client.get_queue_receiver("invoices").receive_messages(max_wait_time=10)
        with pytest.raises((ServiceBusError, ServiceBusAuthenticationError)):
            client.get_queue_sender("reminders").send_messages(ServiceBusMessage("tea"))
    with bus(cloud, "receivers") as client:
        receiver = client.get_queue_receiver("invoices", max_wait_time=60)
        receiver.complete_message(next(iter(receiver)))
        with pytest.raises(ServiceBusError, match=r"'Send' claim\(s\) are required"):
            client.get_queue_sender("invoices").send_messages(ServiceBusMessage("tea"))
    admin = by(cloud.servicebus_admin_connection_string, "receivers")
    with (
        ServiceBusAdministrationClient.from_connection_string(
            admin, connection_verify=str(cloud.servicebus_certificate)
        ) as administration,
        pytest.raises(ClientAuthenticationError),
    ):
        administration.get_queue("invoices")


def test_a_key_that_is_made_later_opens_and_one_that_is_taken_away_does_not(cloud: LocalCloud) -> None:
    made = AuthorizationRule(
        type="SharedAccessAuthorizationRule",
        claim_type="SharedAccessKey",
        claim_value="None",
        rights=["Manage", "Send", "Listen"],
        key_name="later",
        primary_key="primary-of-later",
        secondary_key="second-of-later",
    )
    with ServiceBusAdministrationClient.from_connection_string(
        cloud.servicebus_admin_connection_string, connection_verify=str(cloud.servicebus_certificate)
    ) as administration:
        queue = administration.create_queue("later", authorization_rules=[made])
        with bus(cloud, "later") as client:
            client.get_queue_sender("later").send_messages(ServiceBusMessage("tea"))
        queue.authorization_rules = []
        administration.update_queue(queue)
        with bus(cloud, "later") as client, pytest.raises((ServiceBusError, ServiceBusAuthenticationError)):
            client.get_queue_sender("later").send_messages(ServiceBusMessage("tea"))


@pytest.mark.parametrize("wrong", [[{"KeyName": "a", "Rights": ["Send"]}], [rule(f"r{i}", "Send") for i in range(13)]])
def test_rules_that_can_not_be_are_refused(shared_localcloud: LocalCloudProcess, wrong: list[Any]) -> None:
    hub = {"PartitionCount": 1, "Properties": {"AuthorizationRules": wrong}}
    with (
        pytest.raises(ControlError, match="AuthorizationRules"),
        shared_localcloud.namespace(Declarations(hubs={"orders": hub})),
    ):
        pass


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, object], Any]:
    """Writes a document as JSON, and gives its path."""
    folder = tmp_path_factory.mktemp("declared")

    def written(name: str, document: object) -> Any:
        file = folder / name
        file.write_text(json.dumps(document))
        return file

    return written
