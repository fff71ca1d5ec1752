"""A Service Bus with the entities that the tests need, for all tests of a module."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient
from azure.servicebus.aio import ServiceBusClient as AioClient

from localcloud.testing import LocalCloudProcess

SUBSCRIPTIONS = [
    {"Name": "all"},
    {
        "Name": "loud",
        "Rules": [
            {
                "Name": "loud",
                "Properties": {
                    "FilterType": "Sql",
                    "SqlFilter": {"SqlExpression": "volume > 5 AND sys.Label LIKE 'so%'"},
                    "Action": {"SqlExpression": "SET volume = volume * 2; SET heard = TRUE"},
                },
            }
        ],
    },
    {
        "Name": "red",
        "Rules": [
            {
                "Name": "red",
                "Properties": {"FilterType": "Correlation", "CorrelationFilter": {"Properties": {"colour": "red"}}},
            }
        ],
    },
]

QUEUES: dict[str, dict[str, object]] = {
    **{f"fresh{number}": {} for number in range(40)},
    "two-tries": {"MaxDeliveryCount": 2},
    "short-lock": {"LockDuration": "PT1S", "MaxDeliveryCount": 2},
    "expiring": {"DeadLetteringOnMessageExpiration": True},
    "once": {"RequiresDuplicateDetection": True, "DuplicateDetectionHistoryTimeWindow": "PT5M"},
    "sessions": {"RequiresSession": True},
    "more-sessions": {"RequiresSession": True, "LockDuration": "PT1S"},
    "sync-sessions": {"RequiresSession": True},
    "js-sessions": {"RequiresSession": True},
    "renewed": {"LockDuration": "PT6S"},
    "end": {},
    "graves": {},
    "hop": {"ForwardTo": "end", "ForwardDeadLetteredMessagesTo": "graves", "MaxDeliveryCount": 1},
    "mortal": {"ForwardDeadLetteredMessagesTo": "graves"},
    "ring-a": {"ForwardTo": "ring-b"},
    "ring-b": {"ForwardTo": "ring-a"},
    "big": {"MaxMessageSizeInKilobytes": 102400},
    "small-quota": {"MaxSizeInMegabytes": 1},
    "closed": {"Status": "Disabled"},
}


def config() -> dict[str, object]:
    queues = [{"Name": name, "Properties": properties} for name, properties in QUEUES.items()]
    topics = [
        {"Name": "news", "Properties": {}, "Subscriptions": SUBSCRIPTIONS},
        {"Name": "js-news", "Properties": {}, "Subscriptions": [{"Name": "js"}]},
    ]
    return {"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": queues, "Topics": topics}]}}


def write_config(folder: Path, document: dict[str, object]) -> Path:
    file = folder / "Config.json"
    file.write_text(json.dumps(document))
    return file


@pytest.fixture(scope="package")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloudProcess]:
    """One localcloud for all of these tests; each uses queues, sessions or message-ids of its own."""
    folder: Path = tmp_path_factory.mktemp("servicebus")
    file = write_config(folder, config())
    cloud = LocalCloudProcess(folder / "cloud", ["--servicebus-config", str(file)]).start()
    yield cloud
    cloud.stop()


@pytest.fixture
def connection_string(cloud: LocalCloudProcess) -> str:
    return cloud.servicebus_connection_string


@pytest.fixture
async def bus(connection_string: str) -> AsyncIterator[AioClient]:
    """The SDK's client for asyncio; it tries once, so that an error comes at once."""
    async with AioClient.from_connection_string(connection_string, retry_total=0) as client:
        yield client


@pytest.fixture
def sync_bus(connection_string: str) -> Iterator[ServiceBusClient]:
    with ServiceBusClient.from_connection_string(connection_string, retry_total=0) as client:
        yield client


@pytest.fixture(scope="package")
def _fresh_queues() -> Iterator[str]:
    return iter([name for name in QUEUES if name.startswith("fresh")])


@pytest.fixture
def queue(_fresh_queues: Iterator[str]) -> str:
    """The name of a queue with default properties that no other test uses."""
    return next(_fresh_queues)
