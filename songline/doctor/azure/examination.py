"""The findings about the resource group that the environment names."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import httpx
from azure.core.exceptions import AzureError

from songline.cloud.credentials import entra
from songline.cloud.settings import SettingError
from songline.deployment.declaration import declare
from songline.doctor.azure.findings import azure_findings
from songline.doctor.azure.resource_manager import ENDPOINT, SCOPE, ResourceManager, ResourceManagerError
from songline.doctor.finding import Finding
from songline.doctor.sign_in import SIGN_IN

SUBSCRIPTION = "AZURE_SUBSCRIPTION_ID"
RESOURCE_GROUP = "AZURE_RESOURCE_GROUP"
TIMEOUT_S = 30.0


async def examine_azure(environ: Mapping[str, str]) -> list[Finding]:
    """Read the resource group and check it. Raises SettingError where the environment names none."""
    for name in (SUBSCRIPTION, RESOURCE_GROUP):
        if not environ.get(name):
            raise SettingError(name, "nothing", "what `azd env get-values` prints")
    async with AsyncExitStack() as stack:
        credential = await stack.enter_async_context(entra())
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=ENDPOINT, timeout=TIMEOUT_S))

        async def token() -> str:
            return (await credential.get_token(SCOPE)).token

        manager = ResourceManager(http, token, environ[SUBSCRIPTION], environ[RESOURCE_GROUP])
        try:
            facts = await manager.read(lambda: datetime.now(UTC))
        except ResourceManagerError as error:
            return [Finding("Azure", "fail", str(error), error.mend)]
        except AzureError as error:
            words = str(error).splitlines()[0]
            return [Finding("Azure", "fail", f"{type(error).__name__}: {words}", SIGN_IN)]
    return azure_findings(facts, declare())
