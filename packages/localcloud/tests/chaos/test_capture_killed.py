"""localcloud dies of SIGKILL while it captures, again and again: each acknowledged event is in one file once."""

import json
import random
from collections.abc import Callable
from pathlib import Path

from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.eventhub.exceptions import EventHubError

from localcloud.testing import LocalCloudProcess
from localcloud_tests.support.capture import captured_events, description

ROUNDS = 4
PARTITIONS = 2


def test_each_event_is_in_one_file_once(start_localcloud: Callable[..., LocalCloudProcess], tmp_path: Path) -> None:
    properties = description(SizeLimitInBytes=20_000)
    entity = {"Name": "events", "PartitionCount": PARTITIONS, "Properties": properties}
    config = tmp_path / "Config.json"
    config.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [{"Name": "ns", "Entities": [entity]}]}}))
    cloud = start_localcloud("--config", str(config), "--blobs")
    chance = random.Random(7)
    acknowledged = 0
    for _ in range(ROUNDS):
        acknowledged += send_for_a_while(cloud, acknowledged, chance.randint(20, 60))
        cloud.restart()
    send_for_a_while(cloud, acknowledged, 3)
    events = captured_events(cloud, "events")

    found = []
    for partition, its_events in events.items():
        assert [event["SequenceNumber"] for event in its_events] == list(range(len(its_events))), partition
        found += [int(event["Body"]) for event in its_events]
    assert set(found) >= set(range(acknowledged))
    assert len(found) == sum(one["end"] for one in cloud.control("GET", "/hubs/events")["partitions"])


def send_for_a_while(cloud: LocalCloudProcess, first: int, batches: int) -> int:
    """How many events, numbered from `first` on, were acknowledged."""
    count = 0
    with EventHubProducerClient.from_connection_string(
        cloud.eventhub_connection_string, eventhub_name="events", retry_total=0
    ) as client:
        for number in range(batches):
            events: list[EventData | AmqpAnnotatedMessage] = [EventData(str(first + count + n)) for n in range(50)]
            try:
                client.send_batch(events, partition_id=str(number % PARTITIONS))
            except EventHubError:
                break
            count += len(events)
    return count
