"""Where processes get the tokens of their managed identity, as App Service and Container Apps have it.

    GET IDENTITY_ENDPOINT?api-version=2019-08-01&resource=https://eventhubs.azure.net[&client_id=…]
    X-IDENTITY-HEADER: IDENTITY_HEADER

Source: "REST endpoint reference" of managed identities for App Service (Microsoft Learn).
"""

import hmac
import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from localcloud.entra.audiences import is_known
from localcloud.entra.identities import ManagedIdentity
from localcloud.entra.tokens import EntraTokens
from localcloud.identity.errors import IdentityStateError, seen
from localcloud.identity.http_answers import NO_STORE, unwritten
from localcloud.private_file import write_private

logger = logging.getLogger(__name__)

PATH: Final = "/msi/token"
HEADER_FILE: Final = "managed-identity-header"
API_VERSION: Final = "2019-08-01"


class ManagedIdentityEndpoint:
    """Answers with tokens of `identities` who knows the header of `folder`."""

    def __init__(
        self,
        folder: Path,
        identities: Mapping[str, ManagedIdentity],
        tokens: EntraTokens,
        now_s: Callable[[], float],
    ) -> None:
        """Raises IdentityStateError and OSError."""
        self._header = _kept(folder / HEADER_FILE)
        self._identities = identities
        self._tokens = tokens
        self._now_s = now_s

    async def answer(self, request: Request) -> Response:
        shown = request.headers.get("x-identity-header", "")
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), self._header.encode()):
            return _refusal(401, "X-IDENTITY-HEADER: expected the value of IDENTITY_HEADER")
        version, resource = (request.query_params.get(name, "") for name in ("api-version", "resource"))
        if version != API_VERSION:
            return _refusal(400, f"api-version: saw {seen(version)}, expected {API_VERSION}")
        if not is_known(resource):
            return _refusal(
                400,
                f"AADSTS500011: The resource principal named {resource[:100]} was not found in the tenant: expected "
                "the address of a service, such as https://eventhubs.azure.net",
            )
        found = self._chosen(request.query_params)
        if isinstance(found, str):
            return _refusal(400, found)
        try:
            token, expires_s = self._tokens.issue(found, resource, self._now_s())
        except OSError as error:
            return unwritten(error)
        answer: dict[str, Any] = {
            "access_token": token,
            "client_id": found.client_id,
            "expires_on": str(expires_s),
            "resource": resource,
            "token_type": "Bearer",
        }
        return JSONResponse(answer, headers=NO_STORE)

    def _chosen(self, named: Mapping[str, str]) -> ManagedIdentity | str:
        """The identity that a request names, the only one where it names none; else why there is none."""
        client_id, principal_id = named.get("client_id"), named.get("principal_id") or named.get("object_id")
        fitting = [
            identity
            for identity in self._identities.values()
            if client_id in (None, identity.client_id) and principal_id in (None, identity.principal_id)
        ]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            return f"{len(fitting)} identities are declared, and none is named: expected client_id (AZURE_CLIENT_ID)"
        # The service's words.
        return (
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId: "
            "expected one that ManagedIdentities declares"
        )


def _refusal(status: int, message: str) -> Response:
    logger.info("no token of a managed identity: %s", message)
    return JSONResponse({"statusCode": status, "message": message}, status, NO_STORE)


def _kept(file: Path) -> str:
    if not file.exists():
        write_private(file, secrets.token_urlsafe(32).encode())
    try:
        header = file.read_text("ascii").strip()
    except UnicodeDecodeError:
        header = ""
    if not header:
        # An empty header is one that everybody knows.
        raise IdentityStateError(f"{file} holds no header: expected text in ASCII. Delete it, and a new one is made")
    return header
