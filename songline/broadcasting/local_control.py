"""Subscriptions at the topic of localcloud."""

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

PATH = "/eventSubscriptions"


class LocalSubscriptions:
    """`http` has the address of the topic and shows its key."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @property
    def is_local(self) -> bool:
        return True

    async def put(self, name: str, url: str, types: tuple[str, ...]) -> WebhookSubscription:
        options = {"endpointUrl": url, "includedEventTypes": types, "deadLetterContainer": UNDELIVERED_BLOBS}
        return _subscription(await self._ask("PUT", f"{PATH}/{quote(name, safe='')}", options))

    async def all(self) -> list[WebhookSubscription]:
        return [_subscription(one) for one in (await self._ask("GET", PATH))["value"]]

    async def delete(self, name: str) -> bool:
        return await self._ask("DELETE", f"{PATH}/{quote(name, safe='')}") is not None

    async def _ask(self, method: str, path: str, options: object = None) -> Any:
        """The answer; None for 404."""
        told = await ask(self._http, method, path, (404,), json=options)
        if told is None:
            return None
        answer, found = told
        if answer.is_success:
            return found
        words = found.get("error", {}).get("message", answer.text[:300])
        if answer.status_code == 400:
            raise SubscriptionRefusedError(words)
        raise SubscriptionsUnreachableError(f"{self._http.base_url} answered {answer.status_code}: {words}")


def _subscription(found: dict[str, Any]) -> WebhookSubscription:
    types = tuple(found["includedEventTypes"] or ())
    return WebhookSubscription(found["name"], found["endpointUrl"], types, found["provisioningState"], found["waiting"])
