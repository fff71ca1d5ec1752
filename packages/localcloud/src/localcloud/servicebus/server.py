"""The AMQP endpoint of the Service Bus namespace."""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import Self
from uuid import uuid4

from localcloud.amqp.config import AmqpConfig
from localcloud.amqp.receiving_link import Inlet, ReceivingLink
from localcloud.amqp.request_node import RequestNode
from localcloud.amqp.sending_link import Outlet, SendingLink
from localcloud.amqp.server import AmqpServer
from localcloud.amqp.types import Symbol
from localcloud.authorization_rule import access_rules
from localcloud.faults import Faults
from localcloud.sas import AccessRule, Keys, Right
from localcloud.servicebus import session_links, topology
from localcloud.servicebus.amqp_format import amqp_error
from localcloud.servicebus.config import NamespaceConfig
from localcloud.servicebus.entities import SubscriptionDescription, max_message_bytes
from localcloud.servicebus.entity import SubscriptionEntity
from localcloud.servicebus.errors import ServiceBusError
from localcloud.servicebus.management import EntityManagement
from localcloud.servicebus.message_inlet import MessageInlet
from localcloud.servicebus.namespace import ServiceBusNamespace
from localcloud.servicebus.queue_outlet import QueueOutlet
from localcloud.servicebus.standard_limits import STANDARD, as_standard
from localcloud.servicebus.store import MessageStore
from localcloud.standard_tier import ConnectionCount

# On top of what an entity takes as a message: properties, annotations, and a batch's frame around them.
OVERHEAD_BYTES = 65_536
MAX_BATCH = Symbol("com.microsoft:max-message-batch-size")
_DEFAULT_CONFIG = AmqpConfig()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class ServiceBusServer:
    """Serves the namespace that `config` declares, and what was made besides, durable in `folder`.

    On `host`:`port` (0: a free one, `port` tells) while it is entered; `clock` gives Unix milliseconds. Entering
    raises ConfigError when the declaration contradicts what is stored, OSError when the port is taken. `connections` is
    how many clients there are. `standard`: entities are held to the limits of that tier.
    """

    def __init__(
        self,
        folder: Path,
        config: NamespaceConfig,
        keys: Keys,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], int] = now_ms,
        amqp_config: AmqpConfig = _DEFAULT_CONFIG,
        faults: Faults | None = None,
        tls: SSLContext | None = None,
        connections: ConnectionCount | None = None,
        standard: bool = False,
    ) -> None:
        self.standard = standard
        self._folder = folder
        self._config = as_standard(config) if standard else config
        self._clock = clock
        self._server = AmqpServer(
            "localcloud-servicebus",
            lambda: _ServiceBusService(self.namespace),
            keys,
            lambda: clock() / 1000,
            host=host,
            port=port,
            config=amqp_config,
            strike=partial((faults or Faults()).next, "servicebus"),
            tls=tls,
            check=self._check,
            count=connections,
        )

    @property
    def port(self) -> int:
        return self._server.port

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            limits = STANDARD if self.standard else None
            self.namespace = ServiceBusNamespace(MessageStore(self._folder), self._config, self._clock, uuid4, limits)
            await stack.enter_async_context(self.namespace)
            await stack.enter_async_context(self._server)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def rules_at(self, path: str) -> Mapping[str, AccessRule]:
        """The keys of the entity at `path`, or of the namespace at ""."""
        if not path:
            return access_rules(self._config.authorization_rules)
        try:
            properties = self.namespace.broker.entity(path).properties
        except ServiceBusError:
            return {}
        return {} if isinstance(properties, SubscriptionDescription) else access_rules(properties.authorization_rules)

    def _check(self, path: str) -> None:
        """Raises AmqpError (not found)."""
        entity = topology.parse(path).entity
        if not entity or entity.startswith("$"):
            return
        try:
            self.namespace.broker.entity(entity)
        except ServiceBusError as error:
            raise amqp_error(error) from None


class _ServiceBusService:
    """The nodes that one connection sees."""

    def __init__(self, namespace: ServiceBusNamespace) -> None:
        self._namespace = namespace
        self._management: dict[str, RequestNode] = {}

    def attach_sender(self, link: ReceivingLink) -> Inlet:
        try:
            address = topology.parse(link.address)
            # Each request to a manager asks for its own.
            link.authorize(link.address, None if address.is_management else Right.SEND)
            if address.is_management:
                entity = self._namespace.broker.entity(address.entity)
                allowed = 0 if isinstance(entity, SubscriptionEntity) else max_message_bytes(entity.properties)
                link.max_message_size = max(1 << 20, allowed) + OVERHEAD_BYTES
                return self._manager(address).inlet(link)
            properties = self._namespace.broker.inlet(link.address).properties
        except ServiceBusError as error:
            raise amqp_error(error) from None
        allowed = max_message_bytes(properties)
        link.max_message_size = allowed
        # Told apart from the size of a message, since a batch of a Premium namespace is smaller than a message may be.
        link.properties = {MAX_BATCH: min(allowed, 1 << 20)}
        return MessageInlet(self._namespace, link.address)

    def attach_receiver(self, link: SendingLink) -> Outlet | Awaitable[Outlet]:
        try:
            address = topology.parse(link.address)
            link.authorize(link.address, None if address.is_management else Right.LISTEN)
            if address.is_management:
                self._namespace.broker.entity(address.entity)
                return self._manager(address).outlet(link)
            with_session = session_links.filter_of(link) is not None
            session_links.check_kind(self._namespace.broker, link.address, with_session=with_session)
        except ServiceBusError as error:
            raise amqp_error(error) from None
        if with_session:
            return self._accept(address.path, link)
        return QueueOutlet(self._namespace, address.path, link)

    async def _accept(self, path: str, link: SendingLink) -> Outlet:
        try:
            return await session_links.accept(self._namespace, path, link)
        except ServiceBusError as error:
            raise amqp_error(error) from None

    def _manager(self, address: topology.EntityAddress) -> RequestNode:
        key = address.path
        if key not in self._management:
            self._management[key] = RequestNode(EntityManagement(self._namespace, key).handle)
        return self._management[key]
