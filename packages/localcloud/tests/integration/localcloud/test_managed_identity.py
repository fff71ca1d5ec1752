"""Managed identities: `DefaultAzureCredential` unchanged, and every service by the roles of its tokens."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.cosmos import CosmosClient, PartitionKey
from azure.cosmos.documents import ConnectionPolicy, SSLConfiguration
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, TransportType
from azure.eventhub.exceptions import EventHubError
from azure.identity import DefaultAzureCredential
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus import TransportType as BusTransportType
from azure.servicebus.exceptions import ServiceBusError
from azure.servicebus.management import ServiceBusAdministrationClient
from azure.storage.blob import BlobServiceClient

from localcloud.identity.key_ring import SigningKey
from localcloud.identity.signing_keys import new_key
from localcloud.identity.token_claims import signed
from localcloud.testing import Declarations, LocalCloud, LocalCloudProcess
from localcloud_tests.support import managed

ENTITIES = Declarations(
    hubs={"orders": 1, "returns": 1},
    queues=["invoices", "reminders"],
    containers={"shop/orders": "/customerId", "shop/returns": "/customerId"},
    blobs=True,
)
EVENT_HUBS, SERVICE_BUS, STORAGE = (
    f"https://{host}/" for host in ("eventhubs.azure.net", "servicebus.azure.net", "storage.azure.com")
)


@pytest.fixture(scope="module")
def cloud(secure_localcloud: LocalCloudProcess) -> Iterator[LocalCloud]:
    with secure_localcloud.namespace(ENTITIES) as opened:
        yield opened


class Services:
    """Clients of all services that show the tokens of `credential`."""

    def __init__(self, cloud: LocalCloud, credential: Any) -> None:
        self.cloud, self.credential = cloud, credential
        self.trusted = str(cloud.authority)

    def amqp(self, kind: Any, address: str) -> dict[str, Any]:
        return {
            "credential": self.credential,
            "transport_type": kind,
            "custom_endpoint_address": address,
            "connection_verify": self.trusted,
            "retry_total": 0,
        }

    def send(self, name: str = "orders") -> None:
        options = self.amqp(TransportType.Amqp, self.cloud.eventhub_endpoint)
        with EventHubProducerClient("127.0.0.1", name, **options) as hub:
            hub.send_batch([EventData("tea")])

    def receive(self) -> list[str]:
        """What the hub holds, read once; raises what the SDK reports."""
        options = self.amqp(TransportType.Amqp, self.cloud.eventhub_endpoint)
        read, failed = list[str](), list[Exception]()
        with EventHubConsumerClient("127.0.0.1", "orders", "$Default", **options) as hub:

            def on_event(context: Any, event: EventData | None) -> None:
                if event is not None:
                    read.append(event.body_as_str())
                hub.close()

            def on_error(context: Any, error: Exception) -> None:
                failed.append(error)
                hub.close()

            hub.receive(on_event, on_error=on_error, partition_id="0", starting_position="-1", max_wait_time=60)
        if failed:
            raise failed[0]
        return read

    def queue(self) -> ServiceBusClient:
        return ServiceBusClient("127.0.0.1", **self.amqp(BusTransportType.Amqp, self.cloud.servicebus_endpoint))

    def administer(self) -> str:
        address = f"127.0.0.1:{self.cloud.ports['servicebus-admin']}"
        with ServiceBusAdministrationClient(address, self.credential, connection_verify=self.trusted) as bus:
            return str(bus.get_queue("invoices").name)

    def account(self) -> CosmosClient:
        policy = ConnectionPolicy()
        policy.SSLConfiguration = SSLConfiguration()
        policy.SSLConfiguration.SSLCaCerts = self.trusted
        return CosmosClient(self.cloud.cosmos_endpoint, self.credential, connection_policy=policy)

    def upload(self, name: str) -> bytes:
        url = self.cloud.blob_connection_string.partition("BlobEndpoint=")[2].rstrip(";")
        transport = RequestsTransport(connection_verify=self.trusted)
        with BlobServiceClient(url, self.credential, transport=transport) as storage:
            container = storage.get_container_client(f"receipts-{name}")
            container.create_container()
            container.upload_blob("1", b"tea")
            return bytes(container.download_blob("1").readall())

    def kafka(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": self.cloud.kafka_bootstrap,
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=self.trusted),
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_oauth_token_provider": KafkaTokens(self.credential),
        }


class KafkaTokens(AbstractTokenProvider):  # type: ignore[misc] # aiokafka has no types
    def __init__(self, credential: Any) -> None:
        self._credential = credential

    async def token(self) -> str:
        scope = "https://127.0.0.1/.default"
        return str((await asyncio.to_thread(self._credential.get_token, scope)).token)


class Shown:
    """A credential that has one token."""

    def __init__(self, token: str) -> None:
        self._token = AccessToken(token, int(time.time()) + 3_600)

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        return self._token


def fetch(cloud: LocalCloud, process: LocalCloudProcess, name: str, resource: str) -> str:
    told = managed.environment(cloud, process, name)
    url = f"{told['IDENTITY_ENDPOINT']}?api-version=2019-08-01&resource={resource}&client_id={told['AZURE_CLIENT_ID']}"
    request = Request(url, headers={"X-IDENTITY-HEADER": told["IDENTITY_HEADER"]})
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        return str(json.loads(answer.read())["access_token"])


async def test_an_identity_with_all_roles_uses_every_service(
    cloud: LocalCloud, secure_localcloud: LocalCloudProcess
) -> None:
    with managed.acting_as(cloud, secure_localcloud, managed.OWNER):
        owner = Services(cloud, DefaultAzureCredential())
        await asyncio.to_thread(owner.send)
        async with AIOKafkaProducer(**owner.kafka()) as producer:
            await producer.send_and_wait("orders", b"milk", partition=0)
        async with AIOKafkaConsumer("orders", auto_offset_reset="earliest", **owner.kafka()) as consumer:
            assert [(await consumer.getone()).value for _ in range(2)] == [b"tea", b"milk"]
        with owner.queue() as bus:
            with bus.get_queue_sender("invoices") as sender:
                sender.send_messages(ServiceBusMessage("tea"))
            with bus.get_queue_receiver("invoices", max_wait_time=60) as receiver:
                receiver.complete_message(next(iter(receiver)))
        assert owner.administer() == "invoices"
        with owner.account() as account:
            orders = account.get_database_client("shop").get_container_client("orders")
            orders.upsert_item({"id": "1", "customerId": "c"})
            assert [item["id"] for item in orders.query_items("SELECT * FROM c", partition_key="c")] == ["1"]
            # Management is not done by roles of data: on Azure not either.
            with pytest.raises(CosmosHttpResponseError) as refused:
                account.get_database_client("shop").create_container("more", PartitionKey("/id"))
        assert (refused.value.status_code, refused.value.sub_status) == (403, 5300)
        assert owner.upload("owner") == b"tea"


async def test_rights_that_are_missing_are_named(cloud: LocalCloud, secure_localcloud: LocalCloudProcess) -> None:
    with managed.acting_as(cloud, secure_localcloud, "sender"):
        sender = Services(cloud, DefaultAzureCredential())
        await asyncio.to_thread(sender.send)
        with pytest.raises(EventHubError, match=r"'Listen' claim\(s\) are required"):
            await asyncio.to_thread(sender.receive)
        async with AIOKafkaConsumer(auto_offset_reset="earliest", **sender.kafka()) as consumer:
            consumer.assign([TopicPartition("orders", 0)])
            with pytest.raises(TopicAuthorizationFailedError):
                await asyncio.wait_for(consumer.getone(), 60)
        with sender.queue() as bus, pytest.raises(ServiceBusError, match=r"'Listen' claim\(s\) are required"):
            bus.get_queue_receiver("invoices").receive_messages(max_wait_time=10)
        with pytest.raises(ClientAuthenticationError):
            sender.administer()
        with sender.account() as account:
            orders = account.get_database_client("shop").get_container_client("orders")
            assert list(orders.query_items("SELECT * FROM c", partition_key="nobody")) == []
            with pytest.raises(CosmosHttpResponseError, match="items/create") as refused:
                orders.create_item({"id": "2", "customerId": "c"})
        assert (refused.value.status_code, refused.value.sub_status) == (403, 5301)
    with managed.acting_as(cloud, secure_localcloud, "receiver"):
        receiver = Services(cloud, DefaultAzureCredential())
        assert "tea" in await asyncio.to_thread(receiver.receive)
        with pytest.raises(EventHubError, match=r"'Send' claim\(s\) are required"):
            await asyncio.to_thread(receiver.send)
        async with AIOKafkaProducer(**receiver.kafka()) as producer:
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait("orders", b"milk", partition=0)
        with receiver.queue() as bus, pytest.raises(ServiceBusError, match=r"'Send' claim\(s\) are required"):
            bus.get_queue_sender("invoices").send_messages(ServiceBusMessage("tea"))


async def test_a_role_opens_its_part_alone(cloud: LocalCloud, secure_localcloud: LocalCloudProcess) -> None:
    with managed.acting_as(cloud, secure_localcloud, "part"):
        part = Services(cloud, DefaultAzureCredential())
        await asyncio.to_thread(part.send)
        assert "tea" in await asyncio.to_thread(part.receive)
        with pytest.raises(EventHubError, match=r"'Send' claim\(s\) are required"):
            await asyncio.to_thread(part.send, "returns")
        async with AIOKafkaProducer(**part.kafka()) as producer:
            await producer.send_and_wait("orders", b"milk", partition=0)
            assert await producer.client.fetch_all_metadata()
            assert producer.client.cluster.topics() == {"orders"}
        with part.queue() as bus:
            bus.get_queue_sender("invoices").send_messages(ServiceBusMessage("tea"))
            with pytest.raises(ServiceBusError, match=r"'Send' claim\(s\) are required"):
                bus.get_queue_sender("reminders").send_messages(ServiceBusMessage("tea"))
            with pytest.raises(ServiceBusError, match=r"'Listen' claim\(s\) are required"):
                bus.get_queue_receiver("invoices").receive_messages(max_wait_time=10)
        with part.account() as account:
            shop = account.get_database_client("shop")
            shop.get_container_client("orders").upsert_item({"id": "part", "customerId": "c"})
            for refused in (
                lambda: shop.get_container_client("returns").upsert_item({"id": "part", "customerId": "c"}),
                lambda: list(shop.list_containers()),
                shop.read,
            ):
                with pytest.raises(CosmosHttpResponseError) as raised:
                    refused()
                assert (raised.value.status_code, raised.value.sub_status) == (403, 5301)


def test_conflicts_and_stored_procedures_are_data(cloud: LocalCloud, secure_localcloud: LocalCloudProcess) -> None:
    """localcloud has none of either: who may ask for them is told so, and who may not is refused as on Azure."""

    def statuses(name: str) -> list[tuple[int | None, Any]]:
        seen: list[tuple[int | None, Any]] = []
        with (
            managed.acting_as(cloud, secure_localcloud, name),
            Services(cloud, DefaultAzureCredential()).account() as account,
        ):
            shop = account.get_database_client("shop")
            orders = shop.get_container_client("orders")
            for asked in (
                lambda: list(orders.list_conflicts()),
                lambda: list(orders.query_conflicts("SELECT * FROM c", partition_key="c")),
                lambda: orders.delete_conflict("any", "c"),
                lambda: orders.scripts.execute_stored_procedure("any", partition_key="c"),
                lambda: list(orders.scripts.list_stored_procedures()),
                lambda: list(account.query_databases("SELECT * FROM d")),
                lambda: list(shop.query_containers("SELECT * FROM c")),
                lambda: shop.create_container("more", PartitionKey("/id")),
            ):
                try:
                    asked()
                    seen.append((200, None))
                except CosmosHttpResponseError as refused:
                    seen.append((refused.status_code, refused.sub_status))
        return seen

    management, role = (403, 5300), (403, 5301)
    owner, reader, part = (statuses(name) for name in (managed.OWNER, "sender", "part"))
    assert [status for status, _ in owner] == [200, 200, 404, 405, 403, 200, 200, 403]
    assert reader == [role, role, role, role, management, (200, None), (200, None), management]
    assert [status for status, _ in part] == [200, 200, 404, 405, 403, 403, 403, 403]


@pytest.mark.parametrize("fault", ["audience", "signature", "role"])
async def test_a_token_that_does_not_fit_opens_nothing(
    cloud: LocalCloud, secure_localcloud: LocalCloudProcess, fault: str
) -> None:
    def bad(resource: str) -> Shown:
        owner = "nobody" if fault == "role" else managed.OWNER
        wrong = SERVICE_BUS if resource != SERVICE_BUS else EVENT_HUBS
        token = fetch(cloud, secure_localcloud, owner, wrong if fault == "audience" else resource)
        return Shown(forged(token) if fault == "signature" else token)

    with pytest.raises(EventHubError):
        await asyncio.to_thread(Services(cloud, bad(EVENT_HUBS)).send)
    with Services(cloud, bad(SERVICE_BUS)).queue() as bus, pytest.raises(ServiceBusError):
        bus.get_queue_sender("invoices").send_messages(ServiceBusMessage("tea"))
    with pytest.raises(ClientAuthenticationError):
        Services(cloud, bad(SERVICE_BUS)).administer()
    with pytest.raises(CosmosHttpResponseError) as refused:
        Services(cloud, bad("https://127.0.0.1")).account()
    assert refused.value.status_code == (403 if fault == "role" else 401)
    if fault == "role":
        return  # Azurite knows no roles, and Kafka's metadata has no error for them
    producer = AIOKafkaProducer(**Services(cloud, bad("https://127.0.0.1")).kafka())
    with pytest.raises(KafkaError):
        await producer.start()
    await producer.stop()
    with pytest.raises(HttpResponseError):
        Services(cloud, bad(STORAGE)).upload("bad")


def forged(token: str) -> str:
    """The same claims by a stranger's key."""
    body = token.split(".")[1]
    stranger: SigningKey = new_key("RS256", time.time())
    return signed(json.loads(base64.urlsafe_b64decode(body + "==")), "JWT", stranger)


def test_who_does_not_know_the_header_gets_no_token(cloud: LocalCloud, secure_localcloud: LocalCloudProcess) -> None:
    with managed.acting_as(cloud, secure_localcloud, managed.OWNER), pytest.MonkeyPatch.context() as patch:
        patch.setenv("IDENTITY_HEADER", "guessed")
        with pytest.raises((ClientAuthenticationError, AzureError)):
            DefaultAzureCredential().get_token(f"{EVENT_HUBS}/.default")
