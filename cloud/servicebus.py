"""Service Bus clients over AMQP."""

from typing import Any

from azure.servicebus.aio import ServiceBusClient

from cloud.credentials import entra
from cloud.settings import ServiceBus


def client(settings: ServiceBus, **options: Any) -> ServiceBusClient:
    """An asynchronous client; close it, or use it as a context manager. `options` go to the SDK's constructor."""
    if settings.connection is not None:
        return ServiceBusClient.from_connection_string(settings.connection.reveal(), **options)
    return ServiceBusClient(settings.host, entra(), **options)
