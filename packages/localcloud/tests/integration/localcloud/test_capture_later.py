"""Capture that begins after the hub: its events from before are captured too, and one line says what is missing."""

from collections.abc import Callable
from pathlib import Path

from azure.eventhub import EventData, EventHubProducerClient

from localcloud.testing import LocalCloudProcess
from localcloud_tests.support.capture import captured_events, declared, description


def send(cloud: LocalCloudProcess, *bodies: str) -> None:
    with EventHubProducerClient.from_connection_string(
        cloud.eventhub_connection_string, eventhub_name="events"
    ) as client:
        client.send_batch([EventData(body) for body in bodies], partition_id="0")


def test_events_from_before_capture_are_captured_once_it_can_run(
    start_localcloud: Callable[..., LocalCloudProcess], tmp_path: Path
) -> None:
    config = declared(tmp_path / "Config.json", {})
    cloud = start_localcloud(f"--config={config}")
    send(cloud, "before capture was declared")
    cloud.stop()

    declared(config, description(IntervalInSeconds=900))
    cloud.start()
    why = "Capture needs Blob Storage, which is not served: start with --blobs"
    assert cloud.control("GET", "/health")["unavailable"] == {"capture": why}
    assert cloud.log().count(f"{why}; the events of events are kept until they are captured") == 1
    send(cloud, "before there was Blob Storage")
    assert cloud.control("GET", "/hubs/events")["partitions"] == [{"begin": 0, "end": 2, "captured": 0}]
    cloud.stop()

    cloud.arguments += ["--blobs", "--capture-interval=1"]
    cloud.ports["blob"] = 0
    cloud.start()
    assert "unavailable" not in cloud.control("GET", "/health")
    bodies = [event["Body"] for event in captured_events(cloud, "events")[0]]
    assert bodies == [b"before capture was declared", b"before there was Blob Storage"]
