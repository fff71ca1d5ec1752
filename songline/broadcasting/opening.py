"""The subscriptions of the topic that the environment names."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import AzureError

from songline.broadcasting.azure_control import ENDPOINT, SCOPE, AzureSubscriptions
from songline.broadcasting.local_control import LocalSubscriptions
from songline.broadcasting.subscriptions import SubscriptionControl
from songline.cloud.credentials import entra
from songline.cloud.settings import (
    EVENTGRID_ENDPOINT,
    EVENTGRID_KEY,
    EventGridSettings,
    SettingError,
    read_eventgrid,
)
from songline.cloud.tls import client_context
from songline.processes.local_eventgrid import EVENTGRID_PORT

TOPIC = "AZURE_EVENTGRID_TOPIC_RESOURCEID"
STORAGE = "AZURE_STORAGE_RESOURCEID"
LOCAL = ("127.0.0.1", "localhost", "::1")
TIMEOUT_S = 60.0
"""The service asks the webhook, which may take half a minute."""


@asynccontextmanager
async def open_subscriptions(environ: Mapping[str, str]) -> AsyncIterator[SubscriptionControl]:
    """localcloud's, where the topic is on this machine; else Resource Manager's. Raises SettingError."""
    if not environ.get(EVENTGRID_ENDPOINT):
        expected = (
            f"the address of a topic: `{EVENTGRID_PORT}=5304 songline up` starts one on this machine, on Azure "
            "`azd env get-values` prints it"
        )
        raise SettingError(EVENTGRID_ENDPOINT, "nothing", expected)
    settings = read_eventgrid(environ)
    address = urlsplit(settings.endpoint)
    if address.hostname in LOCAL:
        base = f"{address.scheme}://{address.netloc}"
        headers = await _shown(settings)
        tls = client_context(settings.authorities)
        async with httpx.AsyncClient(
            base_url=base, headers=headers, timeout=TIMEOUT_S, trust_env=False, verify=tls
        ) as http:
            yield LocalSubscriptions(http)
        return
    for name in (TOPIC, STORAGE):
        if not environ.get(name):
            raise SettingError(name, "nothing", "a resource id, which `azd env get-values` prints")
    async with httpx.AsyncClient(base_url=ENDPOINT, timeout=TIMEOUT_S) as http:
        yield AzureSubscriptions(http, _token, environ[TOPIC], environ[STORAGE])


async def _shown(settings: EventGridSettings) -> dict[str, str]:
    """The headers that let an operator in: the topic's key, or a token for Resource Manager where there is none."""
    if settings.key is not None:
        return {"aeg-sas-key": settings.key.reveal()}
    try:
        return {"Authorization": f"Bearer {await _token()}"}
    except AzureError as error:
        raise SettingError(EVENTGRID_KEY, "nothing", f"the topic's key, or an identity ({error})") from None


async def _token() -> str:
    """Raises ClientAuthenticationError, CredentialUnavailableError."""
    return (await entra().get_token(SCOPE)).token
