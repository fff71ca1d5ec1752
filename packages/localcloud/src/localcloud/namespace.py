"""One namespace: Event Hubs, Service Bus and Cosmos DB over one folder, each on a port, with a control endpoint."""

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from starlette.routing import Route

from localcloud import control
from localcloud.account_keys import DEV_KEYS, AccountKeys
from localcloud.account_routes import account_routes
from localcloud.amqp.config import AmqpConfig
from localcloud.authorization_rule import AuthorizationRule, access_rules
from localcloud.blob_service import BlobAccount
from localcloud.capture.archive_blobs import ArchiveBlobs
from localcloud.capture.service import CaptureService
from localcloud.config import HubConfig
from localcloud.cosmos.server import CosmosServer
from localcloud.entra.access import NamespaceAccess
from localcloud.entra.audiences import is_event_hubs, is_service_bus
from localcloud.entra.tokens import EntraTokens
from localcloud.eventhubs.server import EventHubsServer
from localcloud.faults import Faults
from localcloud.http import HttpServer
from localcloud.hub_routes import hub_routes
from localcloud.log.store import SEGMENT_BYTES, LogStore
from localcloud.ports import names_port
from localcloud.published_keys import SAS_KEY_NAME
from localcloud.servicebus.admin.server import AdministrationServer
from localcloud.servicebus.config import NamespaceConfig
from localcloud.servicebus.server import ServiceBusServer
from localcloud.standard_tier import CONNECTIONS, ConnectionCount, check_hubs
from localcloud.throughput_units import EGRESS, ThroughputUnits
from localcloud.tls.authority import ServerCertificate
from localcloud.tls.context import server_context

if TYPE_CHECKING:
    from localcloud.kafka.server import KafkaServer

    _Server = AdministrationServer | CosmosServer | EventHubsServer | HttpServer | KafkaServer | ServiceBusServer

HOST = "127.0.0.1"
SERVICES = ("eventhubs", "kafka", "servicebus", "servicebus-admin", "cosmos", "control")


_NO_ENTITIES = NamespaceConfig()


@dataclass(frozen=True, slots=True)
class NamespaceSettings:
    """What a namespace holds from the start, and how it is served.

    `throttle` holds every Cosmos DB database to its throughput; `create_topics` lets Kafka clients create and delete
    hubs; `segment_bytes` is the size at which a file of a hub's log is full; with `tls` AMQP, Kafka and Cosmos DB are
    served over TLS, as the Service Bus administration always is; `throughput_units` hold Event Hubs to what they take
    in; an AMQP connection that is silent for `silence_s` is closed; without `local_auth` keys open nothing, but
    tokens of Entra only. `hub_rules` are keys of the namespace of Event Hubs with rights of their own. `standard`
    holds both namespaces to the quotas of that tier.
    """

    hubs: Sequence[HubConfig] = ()
    bus: NamespaceConfig = _NO_ENTITIES
    keys: AccountKeys = DEV_KEYS
    throttle: bool = False
    create_topics: bool = False
    segment_bytes: int = SEGMENT_BYTES
    tls: bool = False
    throughput_units: int | None = None
    silence_s: float | None = None
    local_auth: bool = True
    hub_rules: Sequence[AuthorizationRule] = ()
    standard: bool = False


class CloudNamespace:
    """A namespace between enter and exit, its data in `folder`.

    `wanted` gives services their ports; one that has none there takes a free one. `ports` tells them all, with that
    of the issuer, which is one for all namespaces. `certificate` is what it shows over TLS, `tokens` what it
    checks those of Entra by. `blobs` is the storage
    account that belongs to it. `unavailable` says what was asked for and is not served, and why. `routes` are added to
    its control endpoint.
    """

    def __init__(
        self,
        folder: Path,
        settings: NamespaceSettings,
        *,
        wanted: Mapping[str, int],
        identity_port: int,
        certificate: ServerCertificate,
        tokens: EntraTokens,
        blobs: BlobAccount | None = None,
        unavailable: Mapping[str, str] | None = None,
        routes: Sequence[Route] = (),
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.blobs = blobs
        self.ports = {"identity": identity_port, **({"blob": blobs.port} if blobs else {})}
        self._certificate = certificate
        self._tokens = tokens
        self._wanted = wanted
        self._unavailable = dict(unavailable or {})
        self._routes = routes

    @property
    def certificate(self) -> Path:
        """What clients of the Service Bus administration have to trust."""
        return self.folder / "servicebus" / "tls" / "certificate.pem"

    async def __aenter__(self) -> Self:
        """Raises ConfigError when the declaration contradicts what is stored, LogError when the folder can't be opened,
        OSError when a port is taken."""
        # kio gives its types to hypothesis where that is installed: a third of a second of every start on
        # such a machine.
        sys.modules.setdefault("hypothesis", None)  # type: ignore[arg-type] # what the import system takes for "not there"
        from localcloud.kafka.server import KafkaServer

        settings, faults = self.settings, Faults()
        tls = server_context(self._certificate) if settings.tls else None
        amqp_config = AmqpConfig() if settings.silence_s is None else AmqpConfig(silence_s=settings.silence_s)
        units = ThroughputUnits(settings.throughput_units, time.monotonic)
        egress = ThroughputUnits(settings.throughput_units, time.monotonic, EGRESS)
        most = CONNECTIONS if settings.standard else None
        hub_clients, bus_clients = ConnectionCount(most), ConnectionCount(most)
        if settings.standard:
            check_hubs(settings.hubs)
        self._tell_authority()
        secrets = {SAS_KEY_NAME: settings.keys.sas}
        hub_rules = {"": access_rules(settings.hub_rules)} | {
            hub.name.lower(): access_rules(hub.authorization_rules) for hub in settings.hubs
        }
        keys = NamespaceAccess(
            secrets,
            self._tokens,
            "Event Hubs",
            is_event_hubs,
            rules=lambda path: hub_rules.get(path, {}),
            local_auth=settings.local_auth,
        )
        bus_keys = NamespaceAccess(
            secrets,
            self._tokens,
            "Service Bus",
            is_service_bus,
            rules=lambda path: bus.rules_at(path),
            local_auth=settings.local_auth,
        )
        async with AsyncExitStack() as stack:
            store = LogStore.open(
                self.folder / "hubs", settings.hubs, now_ms=_now_ms, segment_bytes=settings.segment_bytes
            )
            await stack.enter_async_context(store)
            archive = ArchiveBlobs(self.blobs, HOST) if self.blobs else None
            capture = await stack.enter_async_context(CaptureService(store, archive, _now_ms))
            if capture.unavailable and capture.declared:
                self._unavailable["capture"] = capture.unavailable
            wanted = {name: self._wanted.get(name, 0) for name in SERVICES}
            bus = ServiceBusServer(
                self.folder / "servicebus",
                settings.bus,
                bus_keys,
                host=HOST,
                port=wanted["servicebus"],
                amqp_config=amqp_config,
                faults=faults,
                tls=tls,
                connections=bus_clients,
                standard=settings.standard,
            )
            cosmos = CosmosServer(
                self.folder / "cosmos",
                settings.keys.cosmos,
                host=HOST,
                port=wanted["cosmos"],
                throttled=["*"] if settings.throttle else [],
                faults=faults,
                certificate=self._certificate if settings.tls else None,
                tokens=self._tokens,
                local_auth=settings.local_auth,
            )
            kafka = KafkaServer(
                store,
                keys,
                host=HOST,
                port=wanted["kafka"],
                create_topics=settings.create_topics,
                faults=faults,
                tls=tls,
                units=units,
                egress=egress,
                connections=hub_clients,
                standard=settings.standard,
            )
            app = control.create(
                self.ports,
                self._unavailable,
                faults,
                lambda: cosmos.throughput,
                [
                    *hub_routes(store, kafka.forget_hub, capture.positions, standard=settings.standard),
                    *account_routes(lambda: cosmos.app),
                    *self._routes,
                ],
                settings.keys.control,
            )
            servers: dict[str, _Server] = {
                "eventhubs": EventHubsServer(
                    store,
                    keys,
                    host=HOST,
                    port=wanted["eventhubs"],
                    amqp_config=amqp_config,
                    faults=faults,
                    tls=tls,
                    units=units,
                    egress=egress,
                    connections=hub_clients,
                ),
                "kafka": kafka,
                "servicebus": bus,
                "servicebus-admin": AdministrationServer(
                    bus, bus_keys, self._certificate, host=HOST, port=wanted["servicebus-admin"]
                ),
                "cosmos": cosmos,
                # The last: health means that all are served.
                "control": HttpServer(app, host=HOST, port=wanted["control"]),
            }
            for name, server in servers.items():
                with names_port(name, wanted[name]):
                    await stack.enter_async_context(server)
                self.ports[name] = server.port
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def _tell_authority(self) -> None:
        """Put a copy of the authority where clients look for it."""
        folder = self.certificate.parent
        folder.mkdir(parents=True, exist_ok=True)
        # Of the certificate that an earlier version made here.
        (folder / "key.pem").unlink(missing_ok=True)
        shutil.copyfile(self._certificate.authority, self.certificate)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
