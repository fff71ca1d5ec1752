"""TLS over the real SDKs, to servers with a certificate of their own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from ssl import SSLContext

import pytest
from azure.eventhub.exceptions import EventHubError
from azure.servicebus import TransportType
from azure.servicebus.exceptions import ServiceBusError

from localcloud.tls import authority
from localcloud.tls.context import server_context
from songline.cloud import eventhubs, servicebus
from songline.cloud.settings import EventHubsSettings, Secret, ServiceBusSettings
from songline.cloud.tls import CUSTOM, client_context

CONNECTION = Secret("Endpoint=sb://127.0.0.1;SharedAccessKeyName=k;SharedAccessKey=a2V5")


class TlsServer:
    """Counts the connections whose client trusts its `authority`, and ends each of them."""

    def __init__(self, tls: SSLContext, own: Path) -> None:
        self._tls = tls
        self.authority = own
        self.trusted = 0

    async def start(self) -> asyncio.Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self._server

    @property
    def endpoint(self) -> str:
        """The SDKs take no port of a connection string unless it is an emulator's, without TLS."""
        return f"sb://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.trusted += bool(await reader.read(8))
        writer.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TlsServer]:
    files = authority.ensure(tmp_path, datetime.now(UTC))
    one = TlsServer(server_context(files), files.authority)
    listening = await one.start()
    yield one
    listening.close()


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in CUSTOM:
        monkeypatch.delenv(name, raising=False)
    client_context.cache_clear()
    yield
    client_context.cache_clear()


async def ask_hub(server: TlsServer) -> None:
    settings = EventHubsSettings(CONNECTION, "127.0.0.1", "127.0.0.1:1", plaintext=False)
    options = {"custom_endpoint_address": server.endpoint, "retry_total": 0}
    async with eventhubs.consumer(settings, "music-events", "$Default", **options) as client:
        # Over a link of its own, and as the SDK asks.
        with pytest.raises(EventHubError):
            await client.get_eventhub_properties()
    async with eventhubs.producer(settings, "music-events", **options) as producer:
        with pytest.raises(EventHubError):
            await producer.get_eventhub_properties()


async def ask_queue(server: TlsServer) -> None:
    settings = ServiceBusSettings(CONNECTION, "127.0.0.1")
    # With an endpoint of one's own, the SDK's default are web sockets.
    options = {"transport_type": TransportType.Amqp, "custom_endpoint_address": server.endpoint, "retry_total": 0}
    async with servicebus.client(settings, **options) as bus:
        with pytest.raises(ServiceBusError):
            await bus.get_queue_receiver("song-commands").receive_messages(1, max_wait_time=1)


async def test_an_authority_of_the_environment_is_trusted_over_amqp(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    await ask_hub(server)
    await ask_queue(server)
    assert server.trusted == 4


async def test_the_authorities_are_read_once(server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    client_context(None)
    server.authority.write_text("no certificate any more", encoding="ascii")
    await ask_hub(server)
    assert server.trusted == 3


async def test_an_unknown_authority_is_not_trusted(server: TlsServer) -> None:
    await ask_hub(server)
    await ask_queue(server)
    assert server.trusted == 0


def test_the_authorities_of_the_sdks_are_trusted_unless_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(client_context(None).get_ca_certs()) > 50
    assert client_context(None) is client_context(None)
    client_context.cache_clear()
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/either")
    assert client_context(None).get_ca_certs() == []
