"""HTTP over the real SDKs, to a server that records what it is asked."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import HttpRequest
from azure.storage.blob._shared.constants import DATA_BLOCK_SIZE

from localcloud.tls import authority
from localcloud.tls.context import server_context
from songline.cloud import blobs, checkpoints, cosmos, servicebus
from songline.cloud.http_transport import EnvironmentProxies, HttpTransport
from songline.cloud.settings import BlobSettings, CosmosSettings, Secret, ServiceBusSettings
from tests.support.recording_server import ANSWER, RecordingServer

KEY = base64.b64encode(b"key").decode()
MOST_CONNECTIONS = 100
"""So many at once are those of an aiohttp session at most."""
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUEST_METHOD")

Ask = Callable[[str, AsyncExitStack], Awaitable[Callable[[], Awaitable[object]]]]


async def ask_cosmos(origin: str, stack: AsyncExitStack) -> Callable[[], Awaitable[object]]:
    client = cosmos.client(CosmosSettings(f"{origin}/", Secret(KEY)))
    stack.push_async_callback(client.close)
    return client.get_database_client("music").read


async def ask_blobs(origin: str, stack: AsyncExitStack) -> Callable[[], Awaitable[object]]:
    client = await stack.enter_async_context(blobs.client(_storage(origin), retry_total=0))
    return client.get_container_client("songs").get_container_properties


async def ask_checkpoints(origin: str, stack: AsyncExitStack) -> Callable[[], Awaitable[object]]:
    store = await stack.enter_async_context(checkpoints.store(_storage(origin), "checkpoints"))
    return lambda: store.list_ownership("namespace", "hub", "group")


async def ask_management(origin: str, stack: AsyncExitStack) -> Callable[[], Awaitable[object]]:
    address = origin.partition("://")[2]
    connection = f"Endpoint=sb://{address};SharedAccessKeyName=k;SharedAccessKey={KEY}"
    settings = ServiceBusSettings(Secret(connection), address, management=address)
    admin = await stack.enter_async_context(servicebus.administration(settings, retry_total=0))
    return lambda: admin.get_queue("song-commands")


def _storage(origin: str) -> BlobSettings:
    parts = f"DefaultEndpointsProtocol=http;AccountName=music;AccountKey={KEY};BlobEndpoint={origin}/music;"
    return BlobSettings(Secret(parts), endpoint=None)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def server() -> AsyncIterator[RecordingServer]:
    async with RecordingServer() as one:
        yield one


async def fail(call: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(AzureError):
        await call()


@pytest.mark.parametrize(
    ("ask", "first"),
    [
        (ask_cosmos, "GET http://music.example/"),
        (ask_blobs, "GET http://music.example/music/songs?restype=container"),
        (ask_checkpoints, "GET http://music.example/music/checkpoints?"),
        (ask_management, "CONNECT music.example:443 "),
    ],
)
async def test_requests_go_through_the_proxy_of_the_environment(
    ask: Ask, first: str, server: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://user:word@127.0.0.1:{server.port}"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("https_proxy", proxy)
    async with AsyncExitStack() as stack:
        origin = "https://music.example" if ask is ask_management else "http://music.example"
        await fail(await ask(origin, stack))
    assert server.targets[0].startswith(first)
    word = base64.b64encode(b"user:word").decode()
    assert server.headers[0]["proxy-authorization"] == f"Basic {word}"


@pytest.mark.parametrize("ask", [ask_cosmos, ask_blobs, ask_checkpoints])
async def test_no_proxy_is_respected(ask: Ask, server: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "other.example,127.0.0.1")
    async with AsyncExitStack() as stack:
        await fail(await ask(f"http://127.0.0.1:{server.port}", stack))
    assert server.targets[0].startswith("GET /")


@pytest.mark.parametrize("ask", [ask_cosmos, ask_blobs, ask_checkpoints])
async def test_a_client_reads_the_environment_when_it_is_built_and_never_again(
    ask: Ask, server: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        call = await ask(f"http://127.0.0.1:{server.port}", stack)
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        await fail(call)
    assert server.targets


@pytest.mark.parametrize("ask", [ask_cosmos, ask_blobs, ask_checkpoints])
async def test_a_user_in_netrc_does_not_replace_the_signature(
    ask: Ask, server: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n", encoding="ascii")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with AsyncExitStack() as stack:
        await fail(await ask(f"http://127.0.0.1:{server.port}", stack))
    assert server.headers
    assert not server.headers[0]["authorization"].startswith("Basic")


async def test_management_with_a_certificate_of_its_own_keeps_its_connection(tmp_path: Path) -> None:
    files = authority.ensure(tmp_path, datetime.now(UTC))
    async with RecordingServer(server_context(files)) as server:
        address = f"127.0.0.1:{server.port}"
        connection = f"Endpoint=sb://{address};SharedAccessKeyName=k;SharedAccessKey={KEY}"
        settings = ServiceBusSettings(Secret(connection), address, management=address, certificate=str(files.authority))
        async with servicebus.administration(settings, retry_total=0) as admin:
            for _ in range(3):
                await fail(lambda: admin.get_queue("song-commands"))
        assert len(server.targets) == 3
        assert server.connections == 1


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://music.example/a", "http://proxy.example:3128"),
        ("https://music.example/a", "http://other.example"),
        ("http://music.example:8081/a", None),
        ("http://inner.example/", None),
        ("http://a.inner.example:80/b?c=http://music.example", None),
        ("http://[::1]:8081/a", None),
    ],
)
def test_a_proxy_is_found_by_scheme_host_and_port(url: str, proxy: str | None) -> None:
    proxies = EnvironmentProxies(
        {
            "http": "proxy.example:3128",
            "https": "http://other.example",
            "no": "music.example:8081, .inner.example,::1",
        }
    )
    assert [proxies.find(url), proxies.find(url)] == [proxy, proxy]


def test_without_proxies_all_is_direct() -> None:
    assert EnvironmentProxies({}).find("https://music.example/") is None
    assert EnvironmentProxies({"http": "http://proxy.example", "no": "*"}).find("http://music.example/") is None


async def test_cosmos_db_on_this_machine_is_verified_too(tmp_path: Path) -> None:
    files, other = (authority.ensure(tmp_path / name, datetime.now(UTC)) for name in ("one", "other"))
    async with RecordingServer(server_context(files)) as server:
        for trusted, requests in ((other.authority, 0), (files.authority, 1)):
            settings = CosmosSettings(f"https://127.0.0.1:{server.port}/", Secret(KEY), authorities=str(trusted))
            client = cosmos.client(settings)
            await fail(client.get_database_client("music").read)
            await client.close()
            assert min(len(server.targets), 1) == requests


async def test_nothing_is_sent_that_the_guard_refuses(server: RecordingServer) -> None:
    """What it raises reaches the caller, and is no fault of the service that is tried again."""
    is_lost = False

    async def guard() -> None:
        if is_lost:
            raise LookupError("no longer")

    async with cosmos.opened(CosmosSettings(f"http://127.0.0.1:{server.port}/", Secret(KEY)), guard) as client:
        database = client.get_database_client("music")
        await fail(database.read)
        sent, is_lost = len(server.targets), True
        with pytest.raises(LookupError, match="no longer"):
            await database.read()
    assert len(server.targets) == sent > 0


async def test_the_guard_is_asked_once_there_is_a_connection() -> None:
    """A request may have to wait long for one, and by then the answer may be another."""
    is_lost, busy = False, asyncio.Event()
    freed = asyncio.Event()

    async def guard() -> None:
        if is_lost:
            raise LookupError("no longer")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting.append(writer)
        if len(waiting) == MOST_CONNECTIONS:
            busy.set()
        await freed.wait()
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                sent.append(writer)
                writer.write(ANSWER)
        writer.close()

    waiting: list[asyncio.StreamWriter] = []
    sent: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, HttpTransport(guard=guard) as transport:
        request = HttpRequest("GET", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        first = [asyncio.create_task(transport.send(request)) for _ in range(MOST_CONNECTIONS)]
        await asyncio.wait_for(busy.wait(), 60)
        late = asyncio.create_task(transport.send(request))
        await asyncio.sleep(0)  # it begins to wait for a connection
        is_lost = True
        freed.set()
        await asyncio.gather(*first)
        with pytest.raises(LookupError, match="no longer"):
            await late
    assert len(sent) == MOST_CONNECTIONS


async def test_bodies_are_taken_in_pieces_as_large_as_those_of_blob_storages_own_transport() -> None:
    async with HttpTransport() as transport:
        assert transport.connection_config.data_block_size == DATA_BLOCK_SIZE
