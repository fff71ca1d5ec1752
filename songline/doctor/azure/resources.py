"""What Azure Resource Manager says of a resource group, as values."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from msgspec import Struct, field

CAPTURE = "capture"
"""The identity by which Event Hubs writes the archive."""
TOPIC = "topic"
"""The identity of Event Grid's topic, by which it writes what no subscriber took."""


class NamespaceFacts(Struct, frozen=True):
    """A namespace of Event Hubs or Service Bus: its tier, its units, and whether keys open it."""

    name: str
    tier: str
    units: int
    grows_to: int
    takes_keys: bool


class AzureHubFacts(Struct, frozen=True):
    """A hub as Azure has it. `capture` is the description of its Capture, None without one."""

    partitions: int
    groups: tuple[str, ...]
    cleanup: str
    retention_h: int | None
    capture: Mapping[str, Any] | None


class TopicFacts(Struct, frozen=True):
    """A topic of Event Grid, and whether keys open it."""

    name: str
    takes_keys: bool


class RoleFacts(Struct, frozen=True):
    """A role that a principal has in a scope, which holds for what lies in it too. `role` is the role's id."""

    principal: str
    role: str
    scope: str


class AppFacts(Struct, frozen=True):
    """A container app: the least replicas that it keeps, whether it runs and which image, and whether probes ask it."""

    name: str
    min_replicas: int
    status: str
    image: str = ""
    probed: bool = False


class AzureFacts(Struct, frozen=True, kw_only=True):
    """A resource group. `hubs` by name, `identities`: the principal of each process, of CAPTURE and TOPIC, `roles`: all
    that are known of them, `skew`: by how much this machine's clock is ahead of Azure's."""

    subscription: str
    group: str
    eventhubs: NamespaceFacts | None
    hubs: Mapping[str, AzureHubFacts] = {}
    servicebus: NamespaceFacts | None
    queues: tuple[str, ...] = ()
    cosmos: str | None
    takes_cosmos_keys: bool = False
    storage: str | None
    takes_storage_keys: bool = False
    topic: TopicFacts | None = None
    identities: Mapping[str, str] = {}
    roles: tuple[RoleFacts, ...] = ()
    apps: Mapping[str, AppFacts] = {}
    skew: timedelta = field(default_factory=timedelta)
