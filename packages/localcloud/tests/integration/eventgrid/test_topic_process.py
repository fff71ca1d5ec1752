"""The topic as the command serves it, with dead letters in Azurite."""

import asyncio
import json
import urllib.request
from pathlib import Path

from azure.core.credentials import AzureKeyCredential
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient
from azure.storage.blob import ContainerClient

from localcloud.published_keys import SAS_KEY
from localcloud.testing import LocalCloudProcess
from localcloud.testing.waiting import wait_for
from localcloud_tests.support.webhooks import Webhook, status


async def test_an_event_that_nobody_takes_is_a_blob(tmp_path: Path) -> None:
    options = ["--eventgrid", "--eventgrid-schedule", "0.05,0.1", "--blobs"]
    process = LocalCloudProcess(tmp_path / "cloud", options)
    await asyncio.to_thread(process.start)
    try:
        address = f"http://127.0.0.1:{process.ports['eventgrid']}"
        async with Webhook(lambda _: status(503)) as webhook:
            wanted = {"endpointUrl": webhook.url, "maxDeliveryAttempts": 2, "deadLetterContainer": "letters"}
            await asyncio.to_thread(subscribe, f"{address}/eventSubscriptions/nobody", wanted)
            await asyncio.to_thread(publish, f"{address}/api/events")
            blobs = process.blob_connection_string
            letters = await asyncio.to_thread(wait_for, lambda: blobs_of(blobs), "a dead letter", 90)
            assert len(webhook.events) == 2
    finally:
        await asyncio.to_thread(process.stop)
    ((name, content),) = letters
    assert name.startswith("LOCALCLOUD/NOBODY/")
    (letter,) = json.loads(content)
    assert (letter["id"], letter["deadletterreason"]) == ("order-1", "MaxDeliveryAttemptsExceeded")
    assert letter["data"] == {"id": 7}


def subscribe(url: str, options: dict[str, object]) -> None:
    request = urllib.request.Request(url, json.dumps(options).encode(), {"aeg-sas-key": SAS_KEY}, method="PUT")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201


def publish(endpoint: str) -> None:
    with EventGridPublisherClient(endpoint, AzureKeyCredential(SAS_KEY)) as client:
        client.send([CloudEvent(source="/shop", type="order.placed", id="order-1", data={"id": 7})])


def blobs_of(connection: str) -> list[tuple[str, bytes]]:
    with ContainerClient.from_connection_string(connection, "letters") as container:
        if not container.exists():
            return []
        return [(blob.name, container.download_blob(blob.name).readall()) for blob in container.list_blobs()]
