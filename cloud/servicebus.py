"""Service Bus clients: over AMQP for messages, over HTTPS for management."""

from collections.abc import AsyncGenerator
from ssl import create_default_context
from typing import Any, Final

from azure.servicebus import ServiceBusReceivedMessage, TransportType
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.aio.management import ServiceBusAdministrationClient

from songline.cloud.credentials import entra
from songline.cloud.http_transport import HttpTransport
from songline.cloud.settings import SERVICEBUS_CONNECTION, ServiceBusSettings, connection_parts
from songline.cloud.tls import client_context

# 0 means "from where the last peek ended" to the SDK's receivers.
FIRST_SEQUENCE_NUMBER: Final = 1


def client(settings: ServiceBusSettings, **options: Any) -> ServiceBusClient:
    """An asynchronous client; close it, or use it as a context manager. `options` go to the SDK's constructor."""
    transport = TransportType.AmqpOverWebsocket if settings.websockets else TransportType.Amqp
    options = {
        "ssl_context": client_context(settings.authorities),
        "transport_type": transport,
        **settings.amqp_options,
        **options,
    }
    if settings.connection is not None:
        return ServiceBusClient.from_connection_string(settings.connection.reveal(), **options)
    return ServiceBusClient(settings.host, entra(), **options)


def administration(settings: ServiceBusSettings, **options: Any) -> ServiceBusAdministrationClient:
    """A client of the management, which `settings` must name; close it, or use it as a context manager."""
    assert settings.management is not None
    tls = client_context(settings.authorities)
    if settings.certificate is not None:
        tls = create_default_context(cafile=settings.certificate)
    options = {"transport": HttpTransport(tls=tls), **options}
    if settings.connection is None:
        return ServiceBusAdministrationClient(settings.management, entra(), **options)
    needed = ("SharedAccessKeyName", "SharedAccessKey")
    parts = connection_parts(SERVICEBUS_CONNECTION, settings.connection.reveal(), needed)
    key = f"SharedAccessKeyName={parts['sharedaccesskeyname']};SharedAccessKey={parts['sharedaccesskey']}"
    return ServiceBusAdministrationClient.from_connection_string(
        f"Endpoint=sb://{settings.management}/;{key}", **options
    )


async def peeked(receiver: ServiceBusReceiver, page: int) -> AsyncGenerator[ServiceBusReceivedMessage, None]:
    """The messages of the receiver's queue, oldest first, `page` at most in memory. They stay where they are.

    Each call begins with the oldest, whatever the receiver peeked or received before. Raises ServiceBusError.
    """
    number = FIRST_SEQUENCE_NUMBER
    while messages := await receiver.peek_messages(page, sequence_number=number):
        for message in messages:
            number = (message.sequence_number or number) + 1
            yield message
