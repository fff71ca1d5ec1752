"""Keys of its own: a folder goes on under them, the published ones open nothing, and no message shows one."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.cosmos import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError
from azure.servicebus.management import ServiceBusAdministrationClient
from azure.storage.blob import BlobServiceClient

from localcloud.account_keys import DEV_KEYS
from localcloud.testing import ControlError, Declarations, LocalCloud, LocalCloudProcess
from localcloud_tests.support.kafka import aiokafka_options

HUBS = {"UserConfig": {"NamespaceConfig": [{"Entities": [{"Name": "orders", "PartitionCount": 1}]}]}}
QUEUES = {"UserConfig": {"Namespaces": [{"Queues": [{"Name": "invoices"}]}]}}


@pytest.fixture(scope="module")
def renewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudProcess]:
    """A localcloud under keys of its own, on data that was written under the published ones for all users to read."""
    folder = tmp_path_factory.mktemp("renewed")
    (folder / "hubs.json").write_text(json.dumps(HUBS))
    (folder / "queues.json").write_text(json.dumps(QUEUES))
    configs = [f"--config={folder / 'hubs.json'}", f"--servicebus-config={folder / 'queues.json'}", "--blobs"]
    former = LocalCloudProcess(folder / "data", [*configs, "--dev-keys"]).start()
    try:
        write(former)
    finally:
        former.stop()
    loosen(former.data)
    cloud = LocalCloudProcess(folder / "data", [*configs, "--own-keys"])
    umask = os.umask(0)
    try:
        cloud.start()
    finally:
        os.umask(umask)
    yield cloud
    cloud.stop()


def write(cloud: LocalCloud) -> None:
    with EventHubProducerClient.from_connection_string(cloud.eventhub_connection_string, eventhub_name="orders") as hub:
        hub.send_batch([EventData("tea")], partition_id="0")
    with (
        ServiceBusClient.from_connection_string(cloud.servicebus_connection_string) as bus,
        bus.get_queue_sender("invoices") as sender,
    ):
        sender.send_messages(ServiceBusMessage("tea"))
    cloud.create_container("shop/orders", "/id")
    with CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key) as client:
        client.get_database_client("shop").get_container_client("orders").upsert_item({"id": "tea"})
    with BlobServiceClient.from_connection_string(cloud.blob_connection_string) as blobs:
        blobs.create_container("shop").upload_blob("tea", b"tea")


def loosen(data: Path) -> None:
    """The rights that a folder of an earlier version has under a wide umask."""
    for path in (data, *data.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)


async def test_what_was_written_under_published_keys_is_read(renewed: LocalCloudProcess) -> None:
    assert renewed.keys != DEV_KEYS
    options = aiokafka_options(renewed.kafka_bootstrap, renewed.eventhub_connection_string)
    async with AIOKafkaConsumer("orders", auto_offset_reset="earliest", **options) as consumer:
        assert (await consumer.getone()).value == b"tea"
    with (
        ServiceBusClient.from_connection_string(renewed.servicebus_connection_string) as bus,
        bus.get_queue_receiver("invoices", max_wait_time=60) as receiver,
    ):
        assert [str(message) for message in receiver.peek_messages()] == ["tea"]
    with CosmosClient(renewed.cosmos_endpoint, renewed.cosmos_key) as client:
        orders = client.get_database_client("shop").get_container_client("orders")
        assert orders.read_item("tea", "tea")["id"] == "tea"
    with BlobServiceClient.from_connection_string(renewed.blob_connection_string) as blobs:
        assert blobs.get_blob_client("shop", "tea").download_blob().readall() == b"tea"
    with ServiceBusAdministrationClient.from_connection_string(
        renewed.servicebus_admin_connection_string, connection_verify=str(renewed.servicebus_certificate)
    ) as admin:
        assert [queue.name for queue in admin.list_queues()] == ["invoices"]


def test_a_namespace_has_the_keys_too(renewed: LocalCloudProcess) -> None:
    declared = Declarations(hubs={"orders": 1}, queues=["invoices"], blobs=True)
    with renewed.namespace(declared) as namespace:
        write(namespace)
        with pytest.raises(ControlError, match="Bearer KEY"):
            LocalCloud(namespace.ports, renewed.servicebus_certificate).control("GET", "/faults")
        stranger = LocalCloud(namespace.ports, renewed.servicebus_certificate, opened_account(namespace))
        with pytest.raises(HttpResponseError):
            knock_blobs(stranger)


def opened_account(cloud: LocalCloud) -> str:
    return cloud.blob_connection_string.partition("AccountName=")[2].partition(";")[0]


def knock_eventhubs(cloud: LocalCloud) -> None:
    with EventHubProducerClient.from_connection_string(
        cloud.eventhub_connection_string, eventhub_name="orders", retry_total=0
    ) as hub:
        hub.send_batch([EventData("x")])


def knock_servicebus(cloud: LocalCloud) -> None:
    with (
        ServiceBusClient.from_connection_string(cloud.servicebus_connection_string, retry_total=0) as bus,
        bus.get_queue_sender("invoices") as sender,
    ):
        sender.send_messages(ServiceBusMessage("x"))


def knock_administration(cloud: LocalCloud) -> None:
    with ServiceBusAdministrationClient.from_connection_string(
        cloud.servicebus_admin_connection_string, connection_verify=str(cloud.servicebus_certificate), retry_total=0
    ) as admin:
        admin.get_queue("invoices")


def knock_cosmos(cloud: LocalCloud) -> None:
    with CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key) as client:
        client.get_database_client("shop").read()


def knock_blobs(cloud: LocalCloud) -> None:
    with BlobServiceClient.from_connection_string(cloud.blob_connection_string, retry_total=0) as blobs:
        list(blobs.list_containers())


DOORS: Sequence[tuple[Callable[[LocalCloud], None], type[Exception]]] = [
    (knock_eventhubs, EventHubError),
    (knock_servicebus, ServiceBusError),
    (knock_administration, ClientAuthenticationError),
    (knock_cosmos, CosmosHttpResponseError),
    (knock_blobs, HttpResponseError),
]


async def test_published_keys_open_nothing_and_no_key_is_shown(renewed: LocalCloudProcess) -> None:
    """Neither ours nor the one that was tried is in an answer, a log or a process list."""
    stranger = LocalCloud(renewed.ports, renewed.servicebus_certificate)
    said: list[str] = []
    for knock, refusal in DOORS:
        with pytest.raises(refusal) as caught:
            knock(stranger)
        said.append(f"{caught.value!r} {caught.value}")
    producer = AIOKafkaProducer(**aiokafka_options(stranger.kafka_bootstrap, stranger.eventhub_connection_string))
    try:
        with pytest.raises(KafkaError) as refused:
            await producer.start()
    finally:
        await producer.stop()
    said.append(str(refused.value))
    control = f"http://127.0.0.1:{renewed.ports['control']}"
    headers: Sequence[dict[str, str]] = [
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": f"Basic {renewed.keys.control}"},
        {"Authorization": f"Bearer {renewed.keys.control}x"},
    ]
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        for header in headers:
            for method, path in [
                ("GET", "/faults"),
                ("PUT", "/faults"),
                ("DELETE", "/hubs/orders"),
                ("POST", "/namespaces"),
                ("POST", "/signing-keys"),
                ("GET", "/nowhere"),
            ]:
                answer = await client.request(method, control + path, headers=header)
                assert answer.status_code == 401, (method, path)
                said.append(answer.text)
        assert (await client.get(f"{control}/health")).json()["status"] == "healthy"
    texts = {
        "answers": "\n".join(said),
        "log": renewed.log(),
        "endpoints": (renewed.data / "endpoints.json").read_text(),
        "process list": process_list(str(renewed.data)),
    }
    assert "--disableTelemetry" in texts["process list"], "Azurite is not looked at"
    secrets = [*msgspec.to_builtins(renewed.keys).values(), DEV_KEYS.cosmos, DEV_KEYS.blob, DEV_KEYS.sas]
    assert {where: [key for key in secrets if key in text] for where, text in texts.items()} == {
        where: [] for where in texts
    }


def process_list(mark: str) -> str:
    """The command lines of processes that name `mark`, as every user of this machine can read them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in line:
            found.append(line)
    return "\n".join(found)


def test_all_files_are_their_owners_alone(renewed: LocalCloudProcess) -> None:
    # The log is the test's own, opened before localcloud started.
    wide = {
        str(path.relative_to(renewed.data)): oct(path.stat().st_mode & 0o777)
        for path in (renewed.data, *renewed.data.rglob("*"))
        if path.exists() and path.stat().st_mode & 0o077 and path != renewed.log_file
    }
    assert not wide
    kinds = {path.name for path in renewed.data.rglob("*")}
    assert {"cosmos.sqlite", "cosmos.sqlite-wal", "keys.json", "__azurite_db_blob__.json"} <= kinds


def test_the_folder_decides_and_dev_keys_bring_the_published_ones_back(
    start_localcloud: Callable[..., LocalCloudProcess],
) -> None:
    cloud = start_localcloud()
    assert cloud.keys == DEV_KEYS
    cloud.stop()
    cloud.arguments.append("--own-keys")
    cloud.start()
    own = cloud.keys
    assert own != DEV_KEYS
    cloud.stop()
    cloud.arguments.remove("--own-keys")
    cloud.start()
    assert cloud.keys == own
    cloud.create_container("shop/orders", "/id")
    cloud.stop()
    cloud.arguments.append("--dev-keys")
    cloud.start()
    assert cloud.keys == DEV_KEYS
    cloud.create_container("shop/invoices", "/id")
    assert cloud.control("GET", "/faults") == []
