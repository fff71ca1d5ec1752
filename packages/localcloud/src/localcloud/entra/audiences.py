"""Which resource a token is for: the `aud` that each service takes.

Source: "Services that support managed identities" and the SDKs' scopes (Microsoft Learn; azure-eventhub's and
azure-servicebus's `JWT_TOKEN_SCOPE`, azure-cosmos's scope by the account's address).
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

AudienceCheck = Callable[[str], bool]

_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""The hosts by which a service of this machine is named, as on Azure by its own domain."""

EVENT_HUBS: Final = "https://eventhubs.azure.net"
SERVICE_BUS: Final = "https://servicebus.azure.net"
COSMOS_DB: Final = "https://cosmos.azure.com"
STORAGE: Final = "https://storage.azure.com"
EVENT_GRID: Final = "https://eventgrid.azure.net"
RESOURCE_MANAGER: Final = "https://management.azure.com"
SHARED: Final = (EVENT_HUBS, SERVICE_BUS, COSMOS_DB, STORAGE, EVENT_GRID, RESOURCE_MANAGER)
_OWN: Final = re.compile(
    r"[a-z0-9-]+\.(servicebus\.windows\.net|documents\.azure\.com|blob\.core\.windows\.net|eventgrid\.azure\.net)"
)


def is_known(resource: str) -> bool:
    """Whether a token can be asked for this resource: a service's, or that of one namespace or account."""
    host = _host(resource)
    return _plain(resource) in SHARED or host in _HERE or (host is not None and _OWN.fullmatch(host) is not None)


def is_for(audience: str, shared: tuple[str, ...], domain: str) -> bool:
    """Whether `audience` names one of the `shared` resources of a service, or one host in its `domain`."""
    host = _host(audience)
    return _plain(audience) in shared or host in _HERE or (host is not None and host.endswith(f".{domain}"))


is_event_hubs: AudienceCheck = partial(is_for, shared=(EVENT_HUBS,), domain="servicebus.windows.net")
is_service_bus: AudienceCheck = partial(is_for, shared=(SERVICE_BUS,), domain="servicebus.windows.net")
is_cosmos_db: AudienceCheck = partial(is_for, shared=(COSMOS_DB,), domain="documents.azure.com")
is_event_grid: AudienceCheck = partial(is_for, shared=(EVENT_GRID,), domain="eventgrid.azure.net")
is_resource_manager: AudienceCheck = partial(is_for, shared=(RESOURCE_MANAGER,), domain="management.azure.com")


def _plain(resource: str) -> str:
    # The SDKs of Event Hubs and Service Bus ask for `https://eventhubs.azure.net//.default`: a slash stays.
    return resource.rstrip("/").lower()


def _host(resource: str) -> str | None:
    try:
        parts = urlsplit(resource)
    except ValueError:
        return None
    return parts.hostname if parts.scheme == "https" and parts.path in ("", "/") else None
