"""Faust's credentials for Event Hubs' Kafka endpoint."""

from typing import Any

from faust.auth import OAuthCredentials, SASLCredentials
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from songline.cloud.kafka import EntraToken, tls
from songline.cloud.settings import EventHubsSettings


def broker(settings: EventHubsSettings) -> Any:
    """The connection string as user `$ConnectionString`, or Entra tokens where there is none."""
    if settings.connection is None:
        return OAuthCredentials(oauth_cb=EntraToken(settings.host), ssl_context=tls(settings))
    return SASLCredentials(
        username="$ConnectionString", password=settings.connection.reveal(), ssl_context=tls(settings)
    )


def client(settings: EventHubsSettings) -> dict[str, Any]:
    """The same as options of a plain aiokafka client."""
    return dict(credentials_to_aiokafka_auth(broker(settings)))
