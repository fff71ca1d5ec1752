"""Service Bus clients over AMQP."""

from azure.servicebus.aio import ServiceBusClient

from cloud.credentials import entra
from cloud.settings import ServiceBus


def client(settings: ServiceBus) -> ServiceBusClient:
    """An asynchronous client; close it, or use it as a context manager."""
    if settings.connection is not None:
        return ServiceBusClient.from_connection_string(settings.connection.reveal())
    return ServiceBusClient(settings.host, entra())
