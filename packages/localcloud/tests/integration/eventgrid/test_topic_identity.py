"""A topic as Azure's is: over TLS, and by tokens of managed identities alone."""

import json
import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from azure.core.credentials import AccessToken, AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid.aio import EventGridPublisherClient

from localcloud.entra.identities import ManagedIdentity
from localcloud.entra.tokens import EntraTokens
from localcloud.eventgrid.access import TopicAccess
from localcloud.eventgrid.server import EventGridServer
from localcloud.identity.signing_keys import SigningKeys
from localcloud.testing.waiting import wait_for_async
from localcloud.tls import authority
from localcloud_tests.support.webhooks import Webhook

SENDER = ManagedIdentity("sender", ("EventGrid Data Sender",))
OPERATOR = ManagedIdentity("operator", ("EventGrid EventSubscription Contributor",))
EVENT_GRID, RESOURCE_MANAGER = "https://eventgrid.azure.net", "https://management.azure.com"


class Shown:
    """A credential that has one token."""

    def __init__(self, token: str) -> None:
        self._token = AccessToken(token, int(time.time()) + 600)

    async def get_token(self, *scopes: str, **options: object) -> AccessToken:
        return self._token

    async def close(self) -> None:
        """There is nothing to close."""

    async def __aenter__(self) -> "Shown":
        return self

    async def __aexit__(self, *_: object) -> None:
        """As `close`."""


class SecureTopic:
    """The topic, and the tokens that open it."""

    def __init__(self, folder: Path) -> None:
        keys = SigningKeys(folder / "keys.json", "ES256")
        self.tokens = EntraTokens({one.name: one for one in (SENDER, OPERATOR)}, keys.current, keys.public, 600)
        self.certificate = authority.ensure(folder / "tls", datetime.now(UTC))
        self.server = EventGridServer(
            folder,
            host="127.0.0.1",
            port=0,
            access=TopicAccess("the-key", self.tokens, local_auth=False),
            certificate=self.certificate,
        )

    def token(self, identity: ManagedIdentity, resource: str) -> str:
        return self.tokens.issue(identity, resource, time.time())[0]

    async def publish(self, credential: Any) -> None:
        # The SDK's synchronous client drops these options.
        options: dict[str, Any] = {"connection_verify": str(self.certificate.authority), "retry_total": 0}
        async with EventGridPublisherClient(self.server.endpoint, credential, **options) as client:
            await client.send([CloudEvent(source="/shop", type="order.placed", id="order-1", data={"id": 7})])

    async def order(self, method: str, path: str, headers: dict[str, str], options: object = None) -> int:
        tls = ssl.create_default_context(cafile=self.certificate.authority)
        url = f"https://127.0.0.1:{self.server.port}{path}"
        async with (
            ClientSession() as session,
            session.request(method, url, headers=headers, data=json.dumps(options), ssl=tls) as answer,
        ):
            return answer.status


@pytest.fixture
async def topic(tmp_path: Path) -> AsyncIterator[SecureTopic]:
    made = SecureTopic(tmp_path)
    async with made.server:
        yield made


async def test_by_its_role_an_identity_publishes_or_subscribes(topic: SecureTopic) -> None:
    operator = {"Authorization": f"Bearer {topic.token(OPERATOR, RESOURCE_MANAGER)}"}
    async with Webhook() as webhook:
        wanted = {"endpointUrl": webhook.url}
        assert await topic.order("PUT", "/eventSubscriptions/shop", operator, wanted) == 201
        await topic.publish(Shown(topic.token(SENDER, EVENT_GRID)))
        assert await wait_for_async(lambda: has_event(webhook), "the event", 90)
    assert webhook.events[0].event["id"] == "order-1"
    assert await topic.order("GET", "/eventSubscriptions", operator) == 200
    assert await topic.order("DELETE", "/eventSubscriptions/shop", operator) == 200


async def test_another_credential_opens_nothing(topic: SecureTopic) -> None:
    for credential in (
        AzureKeyCredential("the-key"),
        Shown(topic.token(SENDER, "https://storage.azure.com")),
        Shown("no-token"),
    ):
        with pytest.raises(ClientAuthenticationError):
            await topic.publish(credential)
    with pytest.raises(HttpResponseError) as refused:
        await topic.publish(Shown(topic.token(OPERATOR, EVENT_GRID)))
    assert refused.value.status_code == 403
    for headers, status in (
        ({"aeg-sas-key": "the-key"}, 401),
        ({"Authorization": f"Bearer {topic.token(OPERATOR, EVENT_GRID)}"}, 401),
        ({"Authorization": f"Bearer {topic.token(SENDER, RESOURCE_MANAGER)}"}, 403),
        ({}, 401),
    ):
        assert await topic.order("GET", "/eventSubscriptions", headers) == status


async def has_event(webhook: Webhook) -> bool:
    return bool(webhook.events)
