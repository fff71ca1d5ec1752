"""Reads a resource group from Azure Resource Manager, with the sign-in of the operator or an identity."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from songline.deployment.access import PROCESSES
from songline.doctor.azure.resources import (
    CAPTURE,
    TOPIC,
    AppFacts,
    AzureFacts,
    AzureHubFacts,
    NamespaceFacts,
    RoleFacts,
    TopicFacts,
)
from songline.doctor.sign_in import SIGN_IN
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError

ENDPOINT = "https://management.azure.com"
SCOPE = "https://management.azure.com/.default"
AGAIN = "songline doctor --azure, a minute later"
PAGES = 100
"""Of a list, at most: a list that has no end would be read for ever."""

_VERSIONS = {
    "Microsoft.EventHub": "2024-01-01",
    "Microsoft.ServiceBus": "2024-01-01",
    "Microsoft.DocumentDB": "2024-11-15",
    "Microsoft.Storage": "2023-05-01",
    "Microsoft.EventGrid": "2022-06-15",
    "Microsoft.ManagedIdentity": "2023-01-31",
    "Microsoft.Authorization": "2022-04-01",
    "Microsoft.App": "2025-01-01",
}

Document = Mapping[str, Any]
_document = Decoder(dict[str, Any], "not-a-resource")


class ResourceManagerError(Exception):
    """Azure Resource Manager gives no answer, or refuses one. The message says what was asked, `mend` which command
    helps."""

    def __init__(self, seen: str, mend: str) -> None:
        super().__init__(seen)
        self.mend = mend


class ResourceManager:
    """Reads what lies in the resource group `group`. `http` has the address of the service; `token` gives an access
    token for it. Methods raise ResourceManagerError."""

    def __init__(
        self, http: httpx.AsyncClient, token: Callable[[], Awaitable[str]], subscription: str, group: str
    ) -> None:
        self._http = http
        self._token = token
        self._subscription = subscription
        self._group = group
        self._answered_at: datetime | None = None

    async def read(self, now: Callable[[], datetime]) -> AzureFacts:
        """All that the doctor asks about."""
        eventhubs = await self._first("Microsoft.EventHub/namespaces")
        servicebus = await self._first("Microsoft.ServiceBus/namespaces")
        cosmos = await self._first("Microsoft.DocumentDB/databaseAccounts")
        storage = await self._first("Microsoft.Storage/storageAccounts")
        topic = await self._first("Microsoft.EventGrid/topics")
        identities = await self._list("Microsoft.ManagedIdentity/userAssignedIdentities")
        assigned = await self._list("Microsoft.Authorization/roleAssignments")
        apps = await self._list("Microsoft.App/containerApps")
        queues = await self._inside(servicebus, "Microsoft.ServiceBus/namespaces", "queues")
        stored = await self._inside(cosmos, "Microsoft.DocumentDB/databaseAccounts", "sqlRoleAssignments")
        hubs = await self._hubs(eventhubs)
        at, here = self._answered_at, now()
        return AzureFacts(
            subscription=self._subscription,
            group=self._group,
            eventhubs=_namespace(eventhubs),
            hubs=hubs,
            servicebus=_namespace(servicebus),
            queues=tuple(one["name"] for one in queues),
            cosmos=cosmos["name"] if cosmos else None,
            takes_cosmos_keys=cosmos is not None and not _properties(cosmos).get("disableLocalAuth"),
            storage=storage["name"] if storage else None,
            takes_storage_keys=storage is not None and _properties(storage).get("allowSharedKeyAccess") is not False,
            topic=None if topic is None else TopicFacts(topic["name"], not _properties(topic).get("disableLocalAuth")),
            identities={
                process: _properties(one).get("principalId", "")
                for process in (*PROCESSES, CAPTURE)
                for one in identities
                if one["name"].startswith(f"id-{process}-")
            }
            | ({TOPIC: principal} if (principal := _own_principal(topic)) else {}),
            roles=tuple(_role(one) for one in (*assigned, *stored)),
            apps={process: _app(one) for process in PROCESSES for one in apps if _service(one) == process},
            # The service says whole seconds.
            skew=timedelta() if at is None else here - at,
        )

    async def _hubs(self, namespace: Document | None) -> dict[str, AzureHubFacts]:
        found = {}
        for hub in await self._inside(namespace, "Microsoft.EventHub/namespaces", "eventhubs"):
            groups = await self._inside(
                namespace, "Microsoft.EventHub/namespaces", f"eventhubs/{hub['name']}/consumergroups"
            )
            properties = _properties(hub)
            kept = properties.get("retentionDescription") or {}
            found[hub["name"]] = AzureHubFacts(
                partitions=properties.get("partitionCount", 0),
                groups=tuple(one["name"] for one in groups if one["name"] != "$Default"),
                cleanup=kept.get("cleanupPolicy", "Delete"),
                retention_h=kept.get("retentionTimeInHours"),
                capture=properties.get("captureDescription"),
            )
        return found

    async def _first(self, type_: str) -> Document | None:
        return next(iter(await self._list(type_)), None)

    async def _inside(self, parent: Document | None, type_: str, what: str) -> list[Document]:
        return [] if parent is None else await self._list(f"{type_}/{parent['name']}/{what}")

    async def _list(self, path: str) -> list[Document]:
        version = _VERSIONS[path.partition("/")[0]]
        url = f"/subscriptions/{self._subscription}/resourceGroups/{self._group}/providers/{path}"
        page = await self._get(url, {"api-version": version})
        found = list(page.get("value", []))
        for _ in range(PAGES):
            following = page.get("nextLink")
            # An answer must not send the token elsewhere.
            if not following or httpx.URL(following).host != self._http.base_url.host:
                return found
            page = await self._get(following, {})
            found += page.get("value", [])
        raise ResourceManagerError(f"{path}: saw more than {PAGES} pages, expected an end", AGAIN)

    async def _get(self, url: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {await self._token()}"}
        try:
            answer = await self._http.get(url, params=parameters or None, headers=headers)
        except httpx.HTTPError as error:
            raise ResourceManagerError(f"{self._http.base_url}: {type(error).__name__}: {error}", AGAIN) from None
        if "date" in answer.headers:
            self._answered_at = parsedate_to_datetime(answer.headers["date"])
        if answer.status_code != 200:
            raise ResourceManagerError(f"{url} answered {answer.status_code}", self._mend(answer.status_code))
        try:
            return _document.decode(answer.content)
        except PoisonError as error:
            raise ResourceManagerError(f"{url}: saw {error}, expected a list of resources", AGAIN) from None

    def _mend(self, status: int) -> str:
        group = f"/subscriptions/{self._subscription}/resourceGroups/{self._group}"
        mends = {
            401: SIGN_IN,
            403: f"az role assignment create --role Reader --assignee you@example.org --scope {group}",
            404: "azd env get-values, which prints the right AZURE_SUBSCRIPTION_ID and AZURE_RESOURCE_GROUP",
        }
        return mends.get(status, AGAIN)


def _properties(document: Document) -> Document:
    found: Document = document.get("properties") or {}
    return found


def _own_principal(document: Document | None) -> str:
    """That of a resource which is an identity by itself."""
    return str(((document or {}).get("identity") or {}).get("principalId", ""))


def _namespace(document: Document | None) -> NamespaceFacts | None:
    if document is None:
        return None
    sku, properties = document.get("sku") or {}, _properties(document)
    return NamespaceFacts(
        name=document["name"],
        tier=sku.get("name", ""),
        units=sku.get("capacity") or 1,
        grows_to=(properties.get("maximumThroughputUnits") or 0) if properties.get("isAutoInflateEnabled") else 0,
        takes_keys=not properties.get("disableLocalAuth"),
    )


def _role(document: Document) -> RoleFacts:
    properties = _properties(document)
    role = str(properties.get("roleDefinitionId", "")).rpartition("/")[2]
    return RoleFacts(str(properties.get("principalId", "")), role, str(properties.get("scope", "")))


def _app(document: Document) -> AppFacts:
    properties = _properties(document)
    template = properties.get("template") or {}
    container: Document = next(iter(template.get("containers") or ()), {})
    return AppFacts(
        name=document["name"],
        min_replicas=(template.get("scale") or {}).get("minReplicas") or 0,
        status=str(properties.get("runningStatus", "")),
        image=str(container.get("image", "")),
        probed=bool(container.get("probes")),
    )


def _service(document: Document) -> str:
    return str((document.get("tags") or {}).get("azd-service-name", ""))
