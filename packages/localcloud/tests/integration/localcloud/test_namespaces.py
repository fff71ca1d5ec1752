"""Namespaces that are opened and closed while localcloud serves."""

import contextlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import CosmosClient
from azure.eventhub import EventData, EventHubProducerClient
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from localcloud.testing import ControlError, Declarations, LocalCloud, LocalCloudProcess
from localcloud.testing.waiting import has_ended, wait_for

SHOP = Declarations(
    hubs={"orders": 2}, queues=["jobs"], topics={"news": ["mail"]}, containers={"shop/orders": "/customerId"}
)

STARTER = """
import sys, time
from pathlib import Path
from localcloud.testing import LocalCloudProcess

print(LocalCloudProcess(Path(sys.argv[1])).start().pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudProcess]:
    process = LocalCloudProcess(tmp_path_factory.mktemp("namespaces")).start()
    yield process
    process.stop()


def hub_config(entity: dict[str, Any]) -> dict[str, Any]:
    return {"UserConfig": {"NamespaceConfig": [{"Entities": [entity]}]}}


def fill(cloud: LocalCloud) -> None:
    """An event, a message and an item."""
    with EventHubProducerClient.from_connection_string(
        cloud.eventhub_connection_string, eventhub_name="orders"
    ) as producer:
        producer.send_event(EventData("ordered"))
    with (
        ServiceBusClient.from_connection_string(cloud.servicebus_connection_string) as client,
        client.get_queue_sender("jobs") as sender,
    ):
        sender.send_messages(ServiceBusMessage("work"))
    with CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key) as client:
        client.get_database_client("shop").get_container_client("orders").create_item({"id": "1", "customerId": "c"})


def content(cloud: LocalCloud) -> tuple[int, int, int]:
    """How many events, messages and items there are."""
    (hub,) = cloud.control("GET", "/hubs")
    with (
        ServiceBusClient.from_connection_string(cloud.servicebus_connection_string) as client,
        client.get_queue_receiver("jobs") as receiver,
    ):
        messages = len(receiver.peek_messages(10, sequence_number=1))
    with CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key) as client:
        items = list(client.get_database_client("shop").get_container_client("orders").read_all_items())
    return sum(partition["end"] for partition in hub["partitions"]), messages, len(items)


def test_two_namespaces_see_nothing_of_each_other(process: LocalCloudProcess) -> None:
    with process.namespace(SHOP) as one, process.namespace(SHOP) as other:
        assert set(one.ports.values()) & set(other.ports.values()) == {process.ports["identity"]}
        fill(one)
        assert content(one) == (1, 1, 1)
        assert content(other) == (0, 0, 0)
        with one.faults({"service": "kafka", "kind": "drop"}):
            assert len(one.control("GET", "/faults")) == 1
            assert other.control("GET", "/faults") == process.control("GET", "/faults") == []
    assert process.control("GET", "/hubs") == []


def test_a_closed_namespace_leaves_no_port_and_no_data(process: LocalCloudProcess) -> None:
    with process.namespace(SHOP) as cloud:
        folder = cloud.servicebus_certificate.parents[2]
        assert folder.is_dir()
        # A TLS connection that has not shaken hands belongs to no service yet.
        plain = [port for name, port in cloud.ports.items() if name not in ("servicebus-admin", "identity")]
        connections = [socket.create_connection(("127.0.0.1", port)) for port in plain]
    assert not folder.exists()
    for connection in connections:
        connection.settimeout(60)
        with connection, contextlib.suppress(ConnectionResetError):
            while connection.recv(65_536):  # what a service says first, then the end
                pass
    for port in set(cloud.ports.values()) - {process.ports["identity"]}:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    assert process.control("GET", "/namespaces") == []


def test_blobs_of_one_namespace_are_not_in_another(tmp_path: Path) -> None:
    """All have one Azurite, which starts with the first that asks for it, and an account each."""
    from azure.storage.blob import BlobServiceClient

    process = LocalCloudProcess(tmp_path).start()
    try:
        with pytest.raises(LookupError, match="no Blob Storage"):
            _ = process.blob_connection_string
        with process.namespace(Declarations(blobs=True)) as one, process.namespace(Declarations(blobs=True)) as other:
            assert one.ports["blob"] == other.ports["blob"]
            for cloud in (one, other):
                with BlobServiceClient.from_connection_string(cloud.blob_connection_string) as client:
                    assert list(client.list_containers()) == []
                    client.create_container("songs").upload_blob("one", b"audio")
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"name": "A b"}, "expected up to 63 of a-z"),
        ({"name": "../up"}, "expected up to 63 of a-z"),
        ({"name": "open"}, "a namespace of that name is open"),
        ({"names": "one"}, "unknown field `names`"),
        ({"config": {}}, "Expected `array`"),
        ({"config": [{"UserConfig": {"NamespaceConfig": [{"Entities": [{"Name": "a"}]}]}}]}, "no PartitionCount"),
        (
            {"config": [{"UserConfig": {"NamespaceConfig": [{"Entities": [{"Name": "a.", "PartitionCount": 1}]}]}}]},
            "Entities[0].Name",
        ),
        ({"servicebus_config": [{"UserConfig": {"Namespaces": [{"Queues": [{"Name": "a b"}]}]}}]}, "a b"),
    ],
)
def test_what_can_not_be_opened_is_refused_and_leaves_nothing(
    process: LocalCloudProcess, request_: dict[str, Any], words: str
) -> None:
    process.control("POST", "/namespaces", {"name": "open"})
    try:
        with pytest.raises(ControlError, match=re.escape(words)):
            process.control("POST", "/namespaces", request_)
        assert [each["name"] for each in process.control("GET", "/namespaces")] == ["open"]
        assert [path.name for path in (process.data / "namespaces").iterdir()] == ["open"]
    finally:
        process.close("open")


def test_what_is_not_open_can_not_be_closed(process: LocalCloudProcess) -> None:
    with pytest.raises(ControlError, match="no namespace 'nowhere' is open"):
        process.close("nowhere")


def test_a_container_that_is_refused_leaves_no_namespace(process: LocalCloudProcess) -> None:
    with pytest.raises(ValueError, match="expected DATABASE/CONTAINER"):
        process.open(Declarations(containers={"orders": "/id"}))
    assert process.control("GET", "/namespaces") == []


def test_what_a_killed_process_left_is_gone_after_the_next_start(tmp_path: Path) -> None:
    process = LocalCloudProcess(tmp_path).start()
    try:
        _, cloud = process.open(SHOP)
        folder = cloud.servicebus_certificate.parents[2]
        process.restart()
        assert not folder.exists()
        assert process.control("GET", "/namespaces") == []
    finally:
        process.stop()


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
    wait_for(lambda: has_ended(pid), "localcloud to end")
