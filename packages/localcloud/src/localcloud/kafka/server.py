"""The Kafka endpoint: listens, and serves each connection over one store of hubs."""

import asyncio
import logging
import time
import uuid
from ssl import SSLContext
from types import TracebackType

from localcloud.faults import Faults
from localcloud.kafka.api_table import ApiTable, random_producer_id
from localcloud.kafka.committed_offsets import CommittedOffsets
from localcloud.kafka.connection import KafkaConnection
from localcloud.kafka.group_coordinator import SESSION_MS, GroupCoordinator
from localcloud.kafka.namespace import KafkaNamespace
from localcloud.kafka.produce_handler import ProduceHandler
from localcloud.log.errors import UnknownHubError
from localcloud.log.store import LogStore
from localcloud.sas import Keys
from localcloud.standard_tier import ConnectionCount
from localcloud.throughput_units import ThroughputUnits
from localcloud.tls.context import closed

_READ_AHEAD_BYTES = 1 << 20
_MEMBER_ID_CHARACTERS = 256


logger = logging.getLogger(__name__)


class KafkaServer:
    """Listens on `host:port` while its context is open; with port 0 on a free one, which `port` then is.

    `create_topics` lets clients create hubs, by CreateTopics and by asking for the metadata of one that is not there,
    and delete them. `session_ms` bounds the session time-outs that group members may ask for.
    `units` hold what comes in, `egress` what goes out, `connections` how many clients there are. `standard`: hubs are
    held to the limits of that tier.
    """

    def __init__(
        self,
        store: LogStore,
        keys: Keys,
        *,
        host: str = "127.0.0.1",
        port: int = 9093,
        create_topics: bool = False,
        session_ms: tuple[int, int] = SESSION_MS,
        faults: Faults | None = None,
        tls: SSLContext | None = None,
        units: ThroughputUnits | None = None,
        egress: ThroughputUnits | None = None,
        connections: ConnectionCount | None = None,
        standard: bool = False,
    ) -> None:
        self._store = store
        self._keys = keys
        self._host = host
        self.port = port
        self._create_topics = create_topics
        self._session_ms = session_ms
        self._faults = faults or Faults()
        self._tls = tls
        self._units = units or ThroughputUnits(None, time.monotonic)
        self._egress = egress or ThroughputUnits(None, time.monotonic)
        self._count = connections or ConnectionCount(None)
        self._standard = standard
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "KafkaServer":
        self._server = await asyncio.start_server(
            self._connected, self._host, self.port, limit=_READ_AHEAD_BYTES, start_serving=False, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        namespace = KafkaNamespace(
            self._store, self._host, self.port, self._create_topics, _now_ms, self._egress, self._standard
        )
        committed = self._committed = CommittedOffsets(self._store.internal("committed-offsets"), self._created_at_ms)
        self._coordinator = GroupCoordinator(namespace, _new_member_id, self._session_ms)
        self.apis = ApiTable(
            namespace, ProduceHandler(namespace, random_producer_id, self._units), self._coordinator, committed
        )
        await self._server.start_serving()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await closed(self._server)
        self._coordinator.close()

    async def forget_hub(self, name: str) -> None:
        """Drop what groups have committed of a hub that was deleted. Raises what `PartitionLog.append` raises."""
        await self._committed.forget_hub(name, _now_ms())

    def _created_at_ms(self, name: str) -> int:
        try:
            return self._store.hub(name).created_at_ms
        except UnknownHubError:
            return 0

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._count.admit():
            logger.warning("a connection was closed: there are as many as a namespace may have")
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await KafkaConnection(reader, writer, self.apis, self._keys, self._faults).serve()
        except asyncio.CancelledError:
            pass  # the server is closing, and waits for just that
        finally:
            self._connections.discard(task)
            self._count.release()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _new_member_id(client: str) -> str:
    """Begins with the client's id, as far as that leaves room in a string of the protocol."""
    return f"{client[:_MEMBER_ID_CHARACTERS]}-{uuid.uuid4()}"
