"""Faust's credentials for Event Hubs' Kafka endpoint."""

from typing import Any

from aiokafka.abc import AbstractTokenProvider
from faust.auth import OAuthCredentials, SASLCredentials
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from cloud.credentials import entra
from cloud.kafka import tls
from cloud.settings import EventHubs


class EntraToken(AbstractTokenProvider):  # type: ignore[misc] # aiokafka has no types
    """A token of Microsoft Entra for the namespace. Source: Event Hubs for Apache Kafka, OAuth 2.0."""

    def __init__(self, host: str) -> None:
        self._credential = entra()
        self._scope = f"https://{host}/.default"

    async def token(self) -> str:
        return (await self._credential.get_token(self._scope)).token


def broker(settings: EventHubs) -> Any:
    """The connection string as user `$ConnectionString`, or Entra tokens where there is none."""
    if settings.connection is None:
        return OAuthCredentials(oauth_cb=EntraToken(settings.host), ssl_context=tls(settings))
    return SASLCredentials(
        username="$ConnectionString", password=settings.connection.reveal(), ssl_context=tls(settings)
    )


def client(settings: EventHubs) -> dict[str, Any]:
    """The same as options of a plain aiokafka client."""
    return dict(credentials_to_aiokafka_auth(broker(settings)))
