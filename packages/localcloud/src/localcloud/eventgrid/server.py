"""A topic on a port, with what waits in a folder."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from localcloud.eventgrid.access import TopicAccess
from localcloud.eventgrid.app import PATH, TopicApp
from localcloud.eventgrid.dead_letters import BlobWriter
from localcloud.eventgrid.delivery import SCHEDULE_S
from localcloud.eventgrid.dispatcher import Dispatcher
from localcloud.eventgrid.store import EventGridStore
from localcloud.eventgrid.webhook_client import TIMEOUT_S, WebhookClient
from localcloud.http import HttpServer
from localcloud.ports import names_port
from localcloud.tls.authority import ServerCertificate


class EventGridServer:
    """The topic between enter and exit, on `port`; 0 takes a free one, which `port` then tells.

    `access` lets publishers and operators in. Over TLS when there is a `certificate`. `blobs` takes dead letters.
    `loopback`: webhooks may be on this machine, by plain HTTP too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str,
        port: int,
        access: TopicAccess,
        certificate: ServerCertificate | None = None,
        blobs: BlobWriter | None = None,
        loopback: bool = True,
        schedule_s: tuple[float, ...] = SCHEDULE_S,
        timeout_s: float = TIMEOUT_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._file = folder / "eventgrid.db"
        self._host = host
        self._wanted = port
        self._access = access
        self._certificate = certificate
        self._blobs = blobs
        self._loopback = loopback
        self._schedule_s = schedule_s
        self._timeout_s = timeout_s
        self._now_s = now_s

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def endpoint(self) -> str:
        """The address for publishers."""
        return f"{self._origin()}{PATH}"

    def _origin(self) -> str:
        return f"{'https' if self._certificate else 'http'}://{self._host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Raises OSError where the port is taken, DamagedDatabaseError and `sqlite3.Error` where the file is none of
        ours, or no longer what was written."""
        async with AsyncExitStack() as stack:
            store = stack.enter_context(EventGridStore(self._file))
            client = WebhookClient(loopback=self._loopback, timeout_s=self._timeout_s)
            dispatcher = Dispatcher(store, client, self._blobs, self._schedule_s, self._now_s)
            app = TopicApp(
                store,
                dispatcher,
                client,
                self._access,
                self._origin,
                self._now_s,
                plain_http=self._loopback,
            )
            self._server = HttpServer(app.asgi(), host=self._host, port=self._wanted, certificate=self._certificate)
            with names_port("eventgrid", self._wanted):
                await stack.enter_async_context(self._server)
            # Before the server ends its connections nothing more is delivered.
            stack.push_async_callback(dispatcher.close)
            for subscription in store.subscriptions():
                if subscription.state == "Succeeded":
                    dispatcher.start(subscription)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
