"""Every service over TLS, by the authority of the data folder, for the unmodified clients."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from azure.cosmos import CosmosClient
from azure.cosmos.documents import ConnectionPolicy, SSLConfiguration
from azure.eventhub import EventData, EventHubProducerClient, TransportType
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus import TransportType as BusTransportType
from azure.servicebus.management import ServiceBusAdministrationClient
from azure.storage.blob import BlobServiceClient

from localcloud.testing import Declarations, LocalCloud, LocalCloudProcess
from localcloud_tests.support.kafka import aiokafka_options

ENTITIES = Declarations(hubs={"orders": 1}, queues=["invoices"], containers={"shop/orders": "/customerId"}, blobs=True)
TLS_SERVICES = ("eventhubs", "kafka", "servicebus", "servicebus-admin", "cosmos", "blob")


@pytest.fixture(scope="module")
def process(secure_localcloud: LocalCloudProcess) -> LocalCloudProcess:
    return secure_localcloud


@pytest.fixture(scope="module")
def cloud(process: LocalCloudProcess) -> Iterator[LocalCloud]:
    with process.namespace(ENTITIES) as opened:
        yield opened


def trust(cloud: LocalCloud) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cloud.authority)


async def test_what_is_sent_over_amqp_is_read_over_kafka(cloud: LocalCloud) -> None:
    with EventHubProducerClient.from_connection_string(
        cloud.eventhub_connection_string,
        eventhub_name="orders",
        transport_type=TransportType.Amqp,
        custom_endpoint_address=cloud.eventhub_endpoint,
        connection_verify=str(cloud.authority),
    ) as hub:
        hub.send_batch([EventData("tea")])
    signed_in = aiokafka_options(cloud.kafka_bootstrap, cloud.eventhub_connection_string)
    options = {**signed_in, "security_protocol": "SASL_SSL", "ssl_context": trust(cloud)}
    async with AIOKafkaProducer(**options) as producer:
        await producer.send_and_wait("orders", b"milk")
    async with AIOKafkaConsumer("orders", auto_offset_reset="earliest", **options) as consumer:
        assert [(await consumer.getone()).value for _ in range(2)] == [b"tea", b"milk"]


def test_a_message_is_sent_and_received(cloud: LocalCloud) -> None:
    with ServiceBusClient.from_connection_string(
        cloud.servicebus_connection_string,
        transport_type=BusTransportType.Amqp,
        custom_endpoint_address=cloud.servicebus_endpoint,
        connection_verify=str(cloud.authority),
    ) as bus:
        with bus.get_queue_sender("invoices") as sender:
            sender.send_messages(ServiceBusMessage("tea"))
        with bus.get_queue_receiver("invoices", max_wait_time=60) as receiver:
            message = next(iter(receiver))
            receiver.complete_message(message)
        assert str(message) == "tea"


def test_entities_are_administered(cloud: LocalCloud) -> None:
    with ServiceBusAdministrationClient.from_connection_string(
        cloud.servicebus_admin_connection_string, connection_verify=str(cloud.authority)
    ) as administration:
        assert administration.get_queue("invoices").name == "invoices"


def test_items_and_blobs_are_written_and_read(cloud: LocalCloud) -> None:
    policy = ConnectionPolicy()
    # The SDK verifies nothing on 127.0.0.1 unless it is told so in this way.
    policy.SSLConfiguration = SSLConfiguration()
    policy.SSLConfiguration.SSLCaCerts = str(cloud.authority)
    with CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key, connection_policy=policy) as account:
        orders = account.get_database_client("shop").get_container_client("orders")
        orders.create_item({"id": "1", "customerId": "c", "what": "tea"})
        assert [item["what"] for item in orders.read_all_items()] == ["tea"]
    with BlobServiceClient.from_connection_string(
        cloud.blob_connection_string, connection_verify=str(cloud.authority)
    ) as storage:
        storage.create_container("receipts").upload_blob("1", b"tea")
        assert storage.get_blob_client("receipts", "1").download_blob().readall() == b"tea"


@pytest.mark.parametrize("service", TLS_SERVICES)
def test_who_does_not_trust_the_authority_does_not_connect(cloud: LocalCloud, service: str) -> None:
    with (
        socket.create_connection(("127.0.0.1", cloud.ports[service]), timeout=60) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("service", TLS_SERVICES)
def test_plain_bytes_are_not_answered(cloud: LocalCloud, service: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", cloud.ports[service]), timeout=60)) as plain:
        plain.sendall(b"AMQP\x00\x01\x00\x00" * 4)
        answer = b""
        while piece := _received(plain):
            answer += piece
        # An alert of TLS (type 21) at most.
        assert answer[:1] in (b"", b"\x15")


def _received(plain: socket.socket) -> bytes:
    try:
        return plain.recv(100)
    except ConnectionResetError:
        return b""


def test_a_namespace_is_closed_while_clients_shake_hands(process: LocalCloudProcess) -> None:
    name, opened = process.open()
    services = ("eventhubs", "kafka", "servicebus", "servicebus-admin", "cosmos")
    clients = [socket.create_connection(("127.0.0.1", opened.ports[service]), timeout=60) for service in services]
    process.close(name)
    for client in clients:
        client.close()
