"""The subscriptions of the topic that the environment names."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx

from songline.broadcasting.azure_control import ENDPOINT, SCOPE, AzureSubscriptions
from songline.broadcasting.local_control import LocalSubscriptions
from songline.broadcasting.subscriptions import SubscriptionControl
from songline.cloud.credentials import entra
from songline.cloud.settings import EVENTGRID_KEY, SettingError, read_eventgrid

TOPIC = "AZURE_EVENTGRID_TOPIC_RESOURCEID"
STORAGE = "AZURE_STORAGE_RESOURCEID"
TIMEOUT_S = 60.0
"""The service asks the webhook, which may take half a minute."""


@asynccontextmanager
async def open_subscriptions(environ: Mapping[str, str]) -> AsyncIterator[SubscriptionControl]:
    """localcloud's, where the topic is served by plain HTTP; else Resource Manager's. Raises SettingError."""
    settings = read_eventgrid(environ)
    address = urlsplit(settings.endpoint)
    if address.scheme == "http":
        if settings.key is None:
            raise SettingError(EVENTGRID_KEY, "nothing", "the key of localcloud's topic")
        base, headers = f"http://{address.netloc}", {"aeg-sas-key": settings.key.reveal()}
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=TIMEOUT_S, trust_env=False) as http:
            yield LocalSubscriptions(http)
        return
    for name in (TOPIC, STORAGE):
        if not environ.get(name):
            raise SettingError(name, "nothing", "a resource id, which `azd env get-values` prints")
    async with entra() as credential, httpx.AsyncClient(base_url=ENDPOINT, timeout=TIMEOUT_S) as http:

        async def token() -> str:
            return (await credential.get_token(SCOPE)).token

        yield AzureSubscriptions(http, token, environ[TOPIC], environ[STORAGE])
