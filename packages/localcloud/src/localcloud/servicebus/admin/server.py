"""The administration interface as a server."""

from types import TracebackType
from typing import Self

from localcloud.http import HttpServer
from localcloud.sas import Keys
from localcloud.servicebus.admin import app
from localcloud.servicebus.server import ServiceBusServer
from localcloud.tls.authority import ServerCertificate


class AdministrationServer:
    """Serves the entities of `bus`, which has to be entered before, over HTTPS on `host`:`port` (0: a free one)."""

    def __init__(
        self,
        bus: ServiceBusServer,
        keys: Keys,
        certificate: ServerCertificate,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._bus = bus
        self._keys = keys
        self._certificate = certificate
        self._address = (host, port)

    @property
    def port(self) -> int:
        return self._server.port

    async def __aenter__(self) -> Self:
        """Raises OSError when the port is taken."""
        host, port = self._address
        application = app.create(self._bus.namespace, self._keys, standard=self._bus.standard)
        self._server = HttpServer(application, host=host, port=port, certificate=self._certificate)
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)
