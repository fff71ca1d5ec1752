"""Event Hubs Capture: what real producers sent is in Avro files that other readers read."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import pytest
from aiokafka import AIOKafkaProducer
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.storage.blob import BlobServiceClient

from localcloud.testing import LocalCloud, LocalCloudProcess
from localcloud.testing.declarations import Declarations
from localcloud.testing.waiting import wait_for
from localcloud_tests.support.capture import (
    CONTAINER,
    captured,
    captured_events,
    description,
    partition_of,
    read_files,
)
from localcloud_tests.support.kafka import aiokafka_options

OWN_FORMAT = "{Year}{Month}{Day}/{EventHub}/{PartitionId}/{Hour}{Minute}{Second}-{Namespace}"
HUBS: dict[str, dict[str, object]] = {
    "events": {"PartitionCount": 2, "Properties": description()},
    "kafka": {"PartitionCount": 1, "Properties": description()},
    "remade": {"PartitionCount": 1, "Properties": description()},
    "growing": {"PartitionCount": 1, "Properties": description()},
    "empty": {"PartitionCount": 2, "Properties": description(SkipEmptyArchives=False)},
    "big": {"PartitionCount": 1, "Properties": description(SizeLimitInBytes=200_000, IntervalInSeconds=900)},
    "deflated": {
        "PartitionCount": 1,
        "Properties": description(
            Encoding="AvroDeflate",
            Destination={
                "Name": "EventHubArchive.AzureBlockBlob",
                "Properties": {
                    "BlobContainer": "another",
                    "ArchiveNameFormat": OWN_FORMAT,
                },
            },
        ),
    },
}


@pytest.fixture(scope="module")
def cloud(shared_localcloud: LocalCloudProcess) -> Iterator[LocalCloud]:
    with shared_localcloud.namespace(Declarations(hubs=HUBS, blobs=True)) as opened:
        yield opened


def producer(cloud: LocalCloud, hub: str) -> EventHubProducerClient:
    return EventHubProducerClient.from_connection_string(cloud.eventhub_connection_string, eventhub_name=hub)


def send(cloud: LocalCloud, hub: str, *events: EventData | AmqpAnnotatedMessage | str, **options: Any) -> None:
    with producer(cloud, hub) as client:
        batch = client.create_batch(**options)
        for event in events:
            batch.add(EventData(event) if isinstance(event, str) else event)
        client.send_batch(batch)


def test_events_are_in_files_of_the_services_schema(cloud: LocalCloud) -> None:
    before = datetime.now(UTC)
    send(cloud, "events", "one", "two", partition_id="0")
    send(cloud, "events", "three", partition_key="listener-7")
    events = captured_events(cloud, "events")

    assert sorted(event["Body"] for found in events.values() for event in found) == [b"one", b"three", b"two"]
    for partition, found in events.items():
        assert [event["SequenceNumber"] for event in found] == list(range(len(found))), partition
        assert [event["Offset"] for event in found] == [str(number) for number in range(len(found))]
    keyed = [event for found in events.values() for event in found if event["Body"] == b"three"]
    assert keyed[0]["SystemProperties"] == {"x-opt-partition-key": "listener-7"}
    taken = datetime.strptime(keyed[0]["EnqueuedTimeUtc"], "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=UTC)
    assert before.replace(microsecond=0) <= taken <= datetime.now(UTC)

    for file in read_files(cloud, "events"):
        namespace, hub, _, *numbers = file.name.removesuffix(".avro").split("/")
        assert (namespace, hub) == ("localcloud", "events")
        assert [len(number) for number in numbers] == [4, 2, 2, 2, 2, 2]
        start = datetime(*map(int, numbers), tzinfo=UTC)  # type: ignore[misc,arg-type]
        for event in file.events:
            moment = datetime.strptime(event["EnqueuedTimeUtc"], "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=UTC)
            assert start == moment, file.name


def test_properties_of_every_type_are_branches_of_the_schemas_union(cloud: LocalCloud) -> None:
    moment = datetime(2026, 11, 28, 15, 4, 5, 678_000, tzinfo=UTC)
    event = EventData("body")
    event.properties = {
        "text": "tëxt",
        "bytes": b"\x00\xff",
        "whole": 7,
        "negative": -(2**30),
        "real": 2.5,
        "yes": True,
        "no": False,
        "id": UUID(int=5),
        "moment": moment,
        "nothing": None,
    }
    event.message_id = "m-1"
    event.correlation_id = "c-1"
    event.content_type = "application/json"
    send(cloud, "events", event, partition_id="1")
    found = [event for event in captured_events(cloud, "events")[1] if event["Body"] == b"body"]

    assert found[0]["Properties"] == {
        "text": "tëxt",
        "bytes": b"\x00\xff",
        "whole": 7,
        "negative": -(2**30),
        "real": 2.5,
        "yes": "true",
        "no": "false",
        "id": str(UUID(int=5)),
        "moment": "2026-11-28T15:04:05.678Z",
        "nothing": None,
    }
    system = found[0]["SystemProperties"]
    assert system == {"message-id": "m-1", "correlation-id": "c-1", "content-type": "application/json"}


def test_annotations_and_bodies_that_are_no_data(cloud: LocalCloud) -> None:
    sections = AmqpAnnotatedMessage(
        data_body=[b"a", b"b"], annotations={"x-own": 5, "x-float": 1.5}, application_properties={"p": 1}
    )
    value = AmqpAnnotatedMessage(value_body={"k": [1, 2]})
    send(cloud, "events", sections, value, EventData(b""), partition_id="1")
    found = captured_events(cloud, "events")[1][-3:]

    assert found[0]["SystemProperties"] == {"x-own": 5, "x-float": 1.5}
    assert found[0]["Properties"] == {"p": 1}
    assert b"a" in found[0]["Body"]
    assert found[1]["Body"]
    assert found[2]["Body"] == b""


async def test_records_of_kafka(cloud: LocalCloud) -> None:
    async with AIOKafkaProducer(**aiokafka_options(cloud.kafka_bootstrap), compression_type="gzip") as client:
        await client.send_and_wait("kafka", b"value", key=b"\x00key", headers=[("kind", b"play"), ("none", None)])
        await client.send_and_wait("kafka", None, key=b"gone")
        await client.send_and_wait("kafka", b"plain")
    found = captured_events(cloud, "kafka")[0]

    assert [event["Body"] for event in found] == [b"value", None, b"plain"]
    assert [event["SystemProperties"] for event in found] == [
        {"x-opt-kafka-key": b"\x00key"},
        {"x-opt-kafka-key": b"gone"},
        {},
    ]
    assert [event["Properties"] for event in found] == [{"kind": b"play", "none": None}, {}, {}]


def test_windows_without_events_are_files_without_events(cloud: LocalCloud) -> None:
    assert read_files(cloud, "empty") == []
    time.sleep(1.1)
    assert read_files(cloud, "empty") == [], "Capture begins with the hub's first event"
    send(cloud, "empty", "only", partition_id="0")
    files = wait_for(
        lambda: [
            one for one in [read_files(cloud, "empty")] if {partition_of(f) for f in one if not f.events} == {0, 1}
        ],
        "files without events in both partitions",
    )[0]

    assert [event["Body"] for file in files for event in file.events] == [b"only"]
    for file in files:
        if not file.events:
            assert file.data.startswith(b"Obj\x01")
            assert len(file.data) < 600
    starts = [file.name for file in files if partition_of(file) == 1]
    assert len(set(starts)) == len(starts)


def test_a_window_ends_with_its_size_before_its_time(cloud: LocalCloud) -> None:
    with producer(cloud, "big") as client:
        for _ in range(8):
            client.send_batch([EventData("x" * 10_000) for _ in range(10)], partition_id="0")
    files = wait_for(lambda: read_files(cloud, "big"), "a file before 900 s are over")
    numbers = [event["SequenceNumber"] for file in files for event in file.events]

    assert numbers == list(range(len(numbers)))
    assert all(len(file.data) >= 200_000 for file in files)
    assert len({file.name for file in files}) == len(files)


def test_a_name_format_a_codec_and_a_container_of_ones_own(cloud: LocalCloud) -> None:
    send(cloud, "deflated", *["tea"] * 500, partition_id="0")
    wait_for(lambda: captured(cloud, "deflated"), "the hub to be captured")
    (file,) = read_files(cloud, "deflated", "another")
    reader = fastavro.reader(BytesIO(file.data))

    assert len(file.events) == 500
    assert reader.codec == "deflate"
    assert len(file.data) < 20_000
    assert file.name.endswith("-localcloud.avro")


def test_a_hub_made_anew_begins_a_new_sequence(cloud: LocalCloud) -> None:
    send(cloud, "remade", "old", partition_id="0")
    assert [event["Body"] for event in captured_events(cloud, "remade")[0]] == [b"old"]
    cloud.remake_hub("remade")
    assert captured(cloud, "remade")
    send(cloud, "remade", "new", partition_id="0")
    events = captured_events(cloud, "remade")[0]

    assert [(event["SequenceNumber"], event["Body"]) for event in events] == [(0, b"old"), (0, b"new")]


def test_partitions_that_a_hub_grows_by_are_captured(cloud: LocalCloud) -> None:
    cloud.grow_hub("growing", 2)
    send(cloud, "growing", "later", partition_id="1")
    assert [event["Body"] for event in captured_events(cloud, "growing")[1]] == [b"later"]


def test_a_name_that_is_taken_is_left_alone(cloud: LocalCloud) -> None:
    """Whatever is in the container already stays: the clock may have gone back, or another namespace wrote it."""
    with BlobServiceClient.from_connection_string(cloud.blob_connection_string) as blobs:
        container = blobs.get_container_client(CONTAINER)
        if not container.exists():
            container.create_container()
        start = int(time.time())
        for second in range(start, start + 4):
            moment = datetime.fromtimestamp(second, UTC)
            container.upload_blob(f"localcloud/events/0/{moment:%Y/%m/%d/%H/%M/%S}.avro", b"foreign", overwrite=True)
        send(cloud, "events", "beside", partition_id="0")
        wait_for(lambda: captured(cloud, "events"), "the events to be captured")
        taken = [
            blob.name
            for blob in container.list_blobs(name_starts_with="localcloud/events/0/")
            if container.download_blob(blob.name).readall() == b"foreign"
        ]
        assert len(taken) == 4
        for name in taken:
            container.delete_blob(name)
    assert captured_events(cloud, "events")[0][-1]["Body"] == b"beside"
