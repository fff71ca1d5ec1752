"""The HTTP transport of the Azure clients: the environment is read once, not for each request."""

from collections.abc import Awaitable, Callable, Mapping
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined] # not typed

from aiohttp import ClientRequest, ClientResponse, ClientSession, DummyCookieJar, TCPConnector
from aiohttp.connector import Connection
from azure.core.pipeline.transport import AioHttpTransport

Guard = Callable[[], Awaitable[None]]
"""Is awaited before something is sent, and raises where it must not be."""

BLOCK_BYTES = 256 * 1024
"""The bodies of answers are taken in pieces of so much at most, as by azure-storage-blob's own transport. By that of
azure-core they are of 4 KiB."""


async def unasked() -> None:
    """The guard of what may always be sent: it asks nobody."""


class EnvironmentProxies:
    """The proxies that the environment names now, by HTTP_PROXY, HTTPS_PROXY and NO_PROXY (either case).

    `proxies` replaces them: by scheme of the request, with the exceptions as `no`, as `getproxies_environment` gives
    them.
    """

    def __init__(self, proxies: Mapping[str, str] | None = None) -> None:
        self._proxies = dict(getproxies_environment() if proxies is None else proxies)
        self._by_origin: dict[str, str | None] = {}

    def find(self, url: str) -> str | None:
        """The URL of the proxy for a request to `url`, None for a direct one. User and password stay in it."""
        origin = "/".join(url.split("/", 3)[:3])
        if origin not in self._by_origin:
            self._by_origin[origin] = self._look_up(origin)
        return self._by_origin[origin]

    def _look_up(self, origin: str) -> str | None:
        parts = urlsplit(origin)
        proxy = self._proxies.get(parts.scheme)
        host = parts.hostname or ""
        # A name in NO_PROXY may have a port.
        if not proxy or any(proxy_bypass_environment(one, self._proxies) for one in (host, f"{host}:{parts.port}")):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"


def guarded(guard: Guard) -> type[ClientRequest]:
    """The requests of a session that asks `guard`, with nothing but their own first byte behind it.

    Before that a request may wait for long: for a connection, or with a process that is stopped meanwhile.
    """

    class GuardedRequest(ClientRequest):
        async def send(self, conn: Connection) -> ClientResponse:
            await guard()
            return await super().send(conn)

    return GuardedRequest


class HttpTransport(AioHttpTransport):  # type: ignore[misc] # azure-core imports it lazily, without a type
    """The transport of one client, closed by it.

    `proxies` are those of the environment if not given. `~/.netrc` is not read: no request of these clients takes its
    user from there, and one that is signed with a key fails if it does. `tls` is the context of HTTPS, that of aiohttp
    if not given. `guard` is asked each time that a request is sent, also again, once there is a connection for it.
    """

    def __init__(
        self, proxies: EnvironmentProxies | None = None, tls: SSLContext | None = None, guard: Guard | None = None
    ) -> None:
        super().__init__(use_env_settings=False, connection_data_block_size=BLOCK_BYTES)
        self._proxies = proxies or EnvironmentProxies()
        self._tls = tls
        self._guard = guard
        self._has_session = tls is None and guard is None

    async def open(self) -> None:
        """Open the transport, once. Raises ValueError after `close`."""
        if not self._has_session:
            # azure-core takes the path of a bundle only, reads it for each request, and makes requests of its own.
            self._has_session = True
            self.session = ClientSession(
                connector=TCPConnector(ssl=self._tls or True),
                request_class=ClientRequest if self._guard is None else guarded(self._guard),
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
            )
        await super().open()

    async def send(self, request: Any, **options: Any) -> Any:
        """Send `request`, through a proxy if there is one for its host. Raises AzureError, and what `guard` raises."""
        if self._tls is not None:
            # azure-cosmos asks for no verification on 127.0.0.1 and localhost, whatever its client was told.
            options.pop("connection_verify", None)
        if not (options.get("proxy") or options.get("proxies")) and (proxy := self._proxies.find(request.url)):
            options["proxy"] = proxy
        return await super().send(request, **options)
