"""Subscriptions of a topic on Azure, by Resource Manager."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx

from songline.broadcasting.asking import ask
from songline.broadcasting.subscriptions import (
    SubscriptionRefusedError,
    SubscriptionsUnreachableError,
    WebhookSubscription,
)
from songline.schemas.channels import UNDELIVERED_BLOBS

ENDPOINT = "https://management.azure.com"
SCOPE = "https://management.azure.com/.default"
API_VERSION = "2025-02-15"


class AzureSubscriptions:
    """The subscriptions of the topic with the resource id `topic`. What no webhook takes goes into a container of the
    storage account `storage`, also a resource id. `token` gives an access token for Resource Manager."""

    def __init__(self, http: httpx.AsyncClient, token: Callable[[], Awaitable[str]], topic: str, storage: str) -> None:
        self._http = http
        self._token = token
        self._path = f"/{topic.strip('/')}/eventSubscriptions"
        self._storage = storage

    @property
    def is_local(self) -> bool:
        return False

    async def put(self, name: str, url: str, types: tuple[str, ...]) -> WebhookSubscription:
        undelivered = {"resourceId": self._storage, "blobContainerName": UNDELIVERED_BLOBS}
        properties = {
            "destination": {"endpointType": "WebHook", "properties": {"endpointUrl": url, "maxEventsPerBatch": 1}},
            "filter": {"includedEventTypes": types},
            "eventDeliverySchema": "CloudEventSchemaV1_0",
            "retryPolicy": {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1_440},
            "deadLetterWithResourceIdentity": {
                "identity": {"type": "SystemAssigned"},
                "deadLetterDestination": {"endpointType": "StorageBlob", "properties": undelivered},
            },
        }
        found = await self._ask("PUT", f"{self._path}/{quote(name, safe='')}", {"properties": properties})
        # The answer of a PUT tells the webhook without what follows its `?`, which may be a secret.
        return _subscription(found or {"name": name}, url)

    async def all(self) -> list[WebhookSubscription]:
        found = await self._ask("GET", self._path) or {}
        return [_subscription(one) for one in found.get("value", ())]

    async def delete(self, name: str) -> bool:
        return await self._ask("DELETE", f"{self._path}/{quote(name, safe='')}") is not None

    async def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any] | None:
        """The answer; None where there is nothing of that name."""
        headers = {"Authorization": f"Bearer {await self._token()}"}
        parameters = {"api-version": API_VERSION}
        told = await ask(self._http, method, path, (204, 404), params=parameters, json=body, headers=headers)
        if told is None:
            return None
        answer, found = told
        if answer.is_success:
            return found
        words = (found.get("error") or {}).get("message", "")
        if answer.status_code == 400:
            raise SubscriptionRefusedError(words or "Azure refuses it")
        mend = ": you need the right EventGrid EventSubscription Contributor" if answer.status_code == 403 else ""
        raise SubscriptionsUnreachableError(f"{path} answered {answer.status_code}{mend} {words}".rstrip())


def _subscription(found: dict[str, Any], url: str = "") -> WebhookSubscription:
    properties = found.get("properties") or {}
    destination = (properties.get("destination") or {}).get("properties") or {}
    return WebhookSubscription(
        name=str(found.get("name", "")),
        url=url or str(destination.get("endpointBaseUrl") or destination.get("endpointUrl") or ""),
        types=tuple((properties.get("filter") or {}).get("includedEventTypes") or ()),
        state=str(properties.get("provisioningState", "")),
    )
