#!/bin/bash
# azure-eventhub 5, asynchronous, over WebSockets to an endpoint of one's own (`custom_endpoint_address`): where nobody
# listens it raises AuthenticationError, before any credential was asked for. Over plain AMQP the same is a ConnectError,
# and azure-servicebus 7 raises an error of the connection over both. Who takes it for a wrong key gives up where trying
# again would do. The session of aiohttp that was opened for it is never closed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check azure-eventhub==5.15.1 azure-servicebus==7.15.0 aiohttp==3.14.5

"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
from importlib.metadata import version

from azure.core.credentials import AzureNamedKeyCredential
from azure.eventhub import TransportType
from azure.eventhub.aio import EventHubProducerClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus import TransportType as BusTransportType
from azure.servicebus.aio import ServiceBusClient

# Nobody listens on port 1 of this machine.
ADDRESS, KEY = "sb://127.0.0.1:1", AzureNamedKeyCredential("name", "key")


async def hub(kind):
    options = {"custom_endpoint_address": ADDRESS, "transport_type": kind, "retry_total": 0}
    async with EventHubProducerClient("127.0.0.1", "a-hub", KEY, **options) as client:
        try:
            await client.get_partition_ids()
        except Exception as error:
            return type(error).__name__, str(error)


async def queue(kind):
    options = {"custom_endpoint_address": ADDRESS, "transport_type": kind, "retry_total": 0}
    async with ServiceBusClient("127.0.0.1", KEY, **options) as client:
        try:
            await client.get_queue_sender("a-queue").send_messages(ServiceBusMessage("a"))
        except Exception as error:
            return type(error).__name__, str(error)


async def main():
    found = {
        "Event Hubs, AMQP": await hub(TransportType.Amqp),
        "Event Hubs, WebSockets": await hub(TransportType.AmqpOverWebsocket),
        "Service Bus, AMQP": await queue(BusTransportType.Amqp),
        "Service Bus, WebSockets": await queue(BusTransportType.AmqpOverWebsocket),
    }
    for where, (kind, words) in found.items():
        print(f"{where}: {kind}: {words.splitlines()[0][:90]}")
    kinds = [kind for kind, _ in found.values()]
    assert kinds == ["ConnectError", "AuthenticationError", "ServiceBusConnectionError", "ServiceBusConnectionError"], kinds


print(f"azure-eventhub {version('azure-eventhub')}, azure-servicebus {version('azure-servicebus')}, nobody listens")
asyncio.run(main())
PYTHON
