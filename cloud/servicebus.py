"""Service Bus clients: over AMQP for messages, over HTTPS for management."""

from typing import Any

from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.aio.management import ServiceBusAdministrationClient

from cloud.credentials import entra
from cloud.settings import SERVICEBUS_CONNECTION, ServiceBus, connection_parts


def client(settings: ServiceBus, **options: Any) -> ServiceBusClient:
    """An asynchronous client; close it, or use it as a context manager. `options` go to the SDK's constructor."""
    if settings.connection is not None:
        return ServiceBusClient.from_connection_string(settings.connection.reveal(), **options)
    return ServiceBusClient(settings.host, entra(), **options)


def administration(settings: ServiceBus, **options: Any) -> ServiceBusAdministrationClient:
    """A client of the management, which `settings` must name; close it, or use it as a context manager."""
    assert settings.management is not None
    if settings.certificate is not None:
        options["connection_verify"] = settings.certificate
    if settings.connection is None:
        return ServiceBusAdministrationClient(settings.management, entra(), **options)
    needed = ("SharedAccessKeyName", "SharedAccessKey")
    parts = connection_parts(SERVICEBUS_CONNECTION, settings.connection.reveal(), needed)
    key = f"SharedAccessKeyName={parts['sharedaccesskeyname']};SharedAccessKey={parts['sharedaccesskey']}"
    return ServiceBusAdministrationClient.from_connection_string(
        f"Endpoint=sb://{settings.management}/;{key}", **options
    )
