"""Subscriptions on Azure: what Resource Manager is asked, by a server that answers as its documentation says."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web

from songline.broadcasting.azure_control import AzureSubscriptions
from songline.broadcasting.subscriptions import (
    TYPES,
    SubscriptionRefusedError,
    SubscriptionsUnreachableError,
    WebhookSubscription,
)

TOPIC = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/evgt"
STORAGE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/st"
TOKEN = "the-token"


async def token() -> str:
    return TOKEN


class ResourceManagerServer:
    """Keeps event subscriptions; refuses those whose webhook has `refuses` in it."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return web.json_response({"error": {"code": "InvalidAuthenticationToken", "message": "no"}}, status=401)
        assert request.query["api-version"] == "2025-02-15"
        name = request.match_info.get("name")
        if name is None:
            return web.json_response({"value": list(self.kept.values())})
        if request.method == "DELETE":
            return web.Response(status=200 if self.kept.pop(name, None) else 204)
        properties = (await request.json())["properties"]
        url = properties["destination"]["properties"].pop("endpointUrl")
        if "refuses" in url:
            error = {"code": "InvalidRequest", "message": "Webhook validation handshake failed"}
            return web.json_response({"error": error}, status=400)
        properties["destination"]["properties"]["endpointBaseUrl"] = url.partition("?")[0]
        properties["provisioningState"] = "Creating"
        self.kept[name] = {"name": name, "properties": properties}
        return web.json_response(self.kept[name], status=201)


@pytest.fixture
async def server() -> AsyncIterator[tuple[ResourceManagerServer, str]]:
    made = ResourceManagerServer()
    app = web.Application()
    path = f"{TOPIC}/eventSubscriptions"
    app.add_routes([web.get(path, made.answer), web.route("*", f"{path}/{{name}}", made.answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_subscription_is_made_listed_and_deleted(server: tuple[ResourceManagerServer, str]) -> None:
    kept, address = server
    types = tuple(TYPES.values())
    async with httpx.AsyncClient(base_url=address, timeout=60) as http:
        control = AzureSubscriptions(http, token, TOPIC, STORAGE)
        assert not control.is_local
        assert await control.all() == []
        made = await control.put("shop-1", "https://shop.example/hook?key=secret", types)
        assert made == WebhookSubscription("shop-1", "https://shop.example/hook?key=secret", types, "Creating")
        (listed,) = await control.all()
        assert (listed.url, listed.types) == ("https://shop.example/hook", types)
        properties = kept.kept["shop-1"]["properties"]
        assert properties["eventDeliverySchema"] == "CloudEventSchemaV1_0"
        undelivered = properties["deadLetterWithResourceIdentity"]["deadLetterDestination"]["properties"]
        assert undelivered == {"resourceId": STORAGE, "blobContainerName": "undelivered"}
        assert await control.delete("shop-1")
        assert not await control.delete("shop-1")


async def test_a_refusal_is_told_in_the_service_s_words(server: tuple[ResourceManagerServer, str]) -> None:
    _, address = server
    async with httpx.AsyncClient(base_url=address, timeout=60) as http:
        control = AzureSubscriptions(http, token, TOPIC, STORAGE)
        with pytest.raises(SubscriptionRefusedError, match="handshake failed"):
            await control.put("shop-1", "https://refuses.example/", tuple(TYPES.values()))

        async def another() -> str:
            return "another"

        with pytest.raises(SubscriptionsUnreachableError, match="answered 401"):
            await AzureSubscriptions(http, another, TOPIC, STORAGE).all()
