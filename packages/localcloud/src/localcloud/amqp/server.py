"""A listener whose connections all speak to one service."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from ssl import SSLContext
from types import TracebackType
from typing import Self

from localcloud.amqp import cbs
from localcloud.amqp.config import AmqpConfig
from localcloud.amqp.connection import AmqpConnection
from localcloud.amqp.errors import CONNECTION_FORCED, AmqpError
from localcloud.amqp.faulty_service import FaultyService, Strike
from localcloud.amqp.node import AmqpService
from localcloud.amqp.receiving_link import Inlet, ReceivingLink
from localcloud.amqp.request_node import RequestNode
from localcloud.amqp.sending_link import Outlet, SendingLink
from localcloud.amqp.websocket import FirstByteProtocol
from localcloud.sas import Keys
from localcloud.standard_tier import ConnectionCount
from localcloud.tls.context import closed

_DEFAULT_CONFIG = AmqpConfig()


def _unharmed(operation: str, address: str) -> None:
    """No fault strikes."""


def _anything(path: str) -> None:
    """Accept any path: links are checked when they attach."""


class AmqpServer:
    """Listens on `host`:`port` (0: a free one; `port` then says which) while it is entered, for AMQP over TCP and over
    WebSockets.

    `service_for` makes the service of one connection; `$cbs` is answered here. `now` gives Unix seconds. `strike` says
    which links and messages are to fail. `check` raises AmqpError for a path that no token can be put for. With `tls`
    clients have to speak it. `count` has room for so many clients.
    """

    def __init__(
        self,
        container_id: str,
        service_for: Callable[[], AmqpService],
        keys: Keys,
        now: Callable[[], float],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        config: AmqpConfig = _DEFAULT_CONFIG,
        strike: Strike = _unharmed,
        check: Callable[[str], None] = _anything,
        tls: SSLContext | None = None,
        count: ConnectionCount | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.connections: set[AmqpConnection] = set()
        self._container_id = container_id
        self._service_for = service_for
        self._keys = keys
        self._now = now
        self._config = config
        self._strike = strike
        self._check = check
        self._tls = tls
        self._count = count or ConnectionCount(None)
        self._silent: set[FirstByteProtocol] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._client, self.host, self.port, backlog=1024, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for client in list(self._silent):
            client.abort()
        for connection in list(self.connections):
            connection.close(AmqpError(CONNECTION_FORCED, "The server is shutting down."))
        await closed(self._server)

    def _client(self) -> FirstByteProtocol:
        return FirstByteProtocol(self._connection, self._config.handshake_s, self._silent)

    def _connection(self) -> AmqpConnection:
        connection = AmqpConnection(
            self._container_id,
            TokenService(FaultyService(self._service_for(), self._strike), self._check),
            self._keys,
            self._now,
            self._ended,
            self._config,
            self._count.admit,
        )
        self.connections.add(connection)
        return connection

    def _ended(self, connection: AmqpConnection) -> None:
        self.connections.discard(connection)
        if connection.is_counted:
            self._count.release()


class TokenService:
    """A service that has the node `$cbs` besides."""

    def __init__(self, service: AmqpService, check: Callable[[str], None]) -> None:
        self._service = service
        self._cbs = RequestNode(partial(cbs.put_token, check))

    def attach_sender(self, link: ReceivingLink) -> Inlet | Awaitable[Inlet]:
        return self._cbs.inlet(link) if link.address == cbs.ADDRESS else self._service.attach_sender(link)

    def attach_receiver(self, link: SendingLink) -> Outlet | Awaitable[Outlet]:
        return self._cbs.outlet(link) if link.address == cbs.ADDRESS else self._service.attach_receiver(link)
