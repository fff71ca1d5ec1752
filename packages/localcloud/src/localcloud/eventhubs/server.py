"""The AMQP endpoint of the Event Hubs namespace."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from ssl import SSLContext
from types import TracebackType
from typing import Self

from localcloud.amqp.config import AmqpConfig
from localcloud.amqp.errors import AmqpError
from localcloud.amqp.node import RefusedOutlet
from localcloud.amqp.receiving_link import Inlet, ReceivingLink
from localcloud.amqp.request_node import RequestNode
from localcloud.amqp.sending_link import Outlet, SendingLink
from localcloud.amqp.server import AmqpServer
from localcloud.amqp.types import Array
from localcloud.eventhubs import management
from localcloud.eventhubs.addresses import ReceiveAddress, SendAddress, check_path, find_hub, find_partition, not_found
from localcloud.eventhubs.event_reader import EventCache, EventReader
from localcloud.eventhubs.event_writer import MAX_MESSAGE_SIZE, EventWriter
from localcloud.eventhubs.position import selector_of, start_of
from localcloud.eventhubs.readers import PartitionReaders
from localcloud.faults import Faults
from localcloud.log.errors import UnknownHubError
from localcloud.log.partition import PartitionLog
from localcloud.log.store import Hub, LogStore
from localcloud.sas import Keys, Right
from localcloud.standard_tier import ConnectionCount
from localcloud.throughput_units import ThroughputUnits

_RUNTIME_METRIC = "com.microsoft:enable-receiver-runtime-metric"
_DEFAULT_CONFIG = AmqpConfig()


class EventHubsServer:
    """Serves the hubs of `store` on `host`:`port` (0: a free one, `port` tells) while it is entered.

    `now` gives Unix seconds. `units` hold what comes in, `egress` what goes out; there may be as many clients as
    `connections` has room for.
    """

    def __init__(
        self,
        store: LogStore,
        keys: Keys,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        now: Callable[[], float] = time.time,
        amqp_config: AmqpConfig = _DEFAULT_CONFIG,
        faults: Faults | None = None,
        tls: SSLContext | None = None,
        units: ThroughputUnits | None = None,
        egress: ThroughputUnits | None = None,
        connections: ConnectionCount | None = None,
    ) -> None:
        free = ThroughputUnits(None, time.monotonic)
        namespace = _SharedNamespace(store, now, units or free, egress or free)
        self._server = AmqpServer(
            "localcloud-eventhubs",
            lambda: _EventHubsService(namespace),
            keys,
            now,
            host=host,
            port=port,
            config=amqp_config,
            strike=partial((faults or Faults()).next, "eventhubs"),
            tls=tls,
            check=partial(check_path, store),
            count=connections,
        )

    @property
    def port(self) -> int:
        return self._server.port

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)


class _SharedNamespace:
    """What all connections share."""

    def __init__(
        self, store: LogStore, now: Callable[[], float], units: ThroughputUnits, egress: ThroughputUnits
    ) -> None:
        self.store = store
        self.units = units
        self.egress = egress
        self.now = now
        self.readers = PartitionReaders()
        self.cache = EventCache()
        self._turns: dict[Hub, Iterator[PartitionLog]] = {}

    def turns(self, hub: Hub) -> Iterator[PartitionLog]:
        """The partitions in turn, for events without a key of all clients."""
        if hub not in self._turns:
            self._turns[hub] = (hub.partitions[number % len(hub.partitions)] for number in count())
        return self._turns[hub]

    def is_gone(self, hub: Hub) -> bool:
        try:
            return self.store.hub(hub.name) is not hub
        except UnknownHubError:
            return True


class _EventHubsService:
    """The nodes that one connection sees."""

    def __init__(self, namespace: _SharedNamespace) -> None:
        self._namespace = namespace
        self._management = RequestNode(management.HubManagement(namespace.store).handle)

    def attach_sender(self, link: ReceivingLink) -> Inlet:
        if link.address == management.ADDRESS:
            return self._management.inlet(link)
        link.authorize(link.address, Right.SEND)
        destination = SendAddress.parse(link.address)
        namespace = self._namespace
        hub = find_hub(namespace.store, destination.hub)
        partition = None if destination.partition is None else find_partition(hub, destination.partition)
        link.max_message_size = MAX_MESSAGE_SIZE
        return EventWriter(hub, partition, namespace.turns(hub), namespace.now, namespace.is_gone, namespace.units)

    def attach_receiver(self, link: SendingLink) -> Outlet:
        if link.address == management.ADDRESS:
            return self._management.outlet(link)
        try:
            return self._reader(link)
        except AmqpError as error:
            return RefusedOutlet(link, error)

    def _reader(self, link: SendingLink) -> EventReader:
        link.authorize(link.address, Right.LISTEN)
        origin = ReceiveAddress.parse(link.address)
        namespace = self._namespace
        hub = find_hub(namespace.store, origin.hub)
        if origin.group not in hub.consumer_groups:
            raise not_found(f"{hub.name}/ConsumerGroups/{origin.group}")
        partition = find_partition(hub, origin.partition)
        selector = selector_of(link.source) if link.source else None
        level = (link.requested.properties or {}).get("com.microsoft:epoch")
        wanted = link.requested.desired_capabilities
        return EventReader(
            link,
            hub,
            partition,
            start_of(selector, partition),
            group=origin.group,
            owner_level=int(level) if isinstance(level, int) else None,
            readers=namespace.readers,
            cache=namespace.cache,
            now=namespace.now,
            report_end=_RUNTIME_METRIC in (wanted.items if isinstance(wanted, Array) else (wanted,)),
            is_gone=namespace.is_gone,
            egress=namespace.egress,
        )
