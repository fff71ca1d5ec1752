"""Who may do what: the account's key, which may do everything, and tokens of Entra, by roles of data.

A token is sent as `type=aad&ver=1.0&sig=TOKEN`.

Source: "Data plane role-based access control" and "Troubleshoot forbidden exceptions" (Azure Cosmos DB documentation).
"""

from datetime import UTC, datetime
from typing import Final

from localcloud.cosmos.errors import ForbiddenError, UnauthorizedError
from localcloud.cosmos.exchange import Request
from localcloud.cosmos.master_key import MasterKey, unquote_keeping_plus
from localcloud.cosmos.resource_path import ResourcePath
from localcloud.entra.audiences import is_cosmos_db
from localcloud.entra.roles import RoleAssignment, roles_at
from localcloud.entra.tokens import EntraTokens, TokenPrincipal
from localcloud.sas import CredentialError

READER: Final = "Cosmos DB Built-in Data Reader"
CONTRIBUTOR: Final = "Cosmos DB Built-in Data Contributor"
METADATA: Final = "Cosmos DB Metadata Reader"

NOT_BY_TOKEN: Final = 5300
"""The sub-status of what no token of data can do: management."""
ROLE_MISSING: Final = 5301

_ACCOUNT: Final = "Microsoft.DocumentDB/databaseAccounts"
_CONTAINER: Final = f"{_ACCOUNT}/sqlDatabases/containers"
_ACTIONS: Final = {
    "read": f"{_CONTAINER}/items/read",
    "create": f"{_CONTAINER}/items/create",
    "replace": f"{_CONTAINER}/items/replace",
    "patch": f"{_CONTAINER}/items/replace",
    "upsert": f"{_CONTAINER}/items/upsert",
    "batch": f"{_CONTAINER}/items/upsert",
    "delete": f"{_CONTAINER}/items/delete",
    "query": f"{_CONTAINER}/executeQuery",
    "feed": f"{_CONTAINER}/executeQuery",
    "plan": f"{_ACCOUNT}/readMetadata",
    "changes": f"{_CONTAINER}/readChangeFeed",
}
_READING: Final = frozenset({"read", "query", "feed", "plan", "changes", "metadata"})


class CosmosAccess:
    """Checks requests by `key`, and by `tokens` where there are some. Without `local_auth` the key opens nothing."""

    def __init__(self, key: MasterKey, tokens: EntraTokens | None = None, *, local_auth: bool = True) -> None:
        self._key = key
        self._tokens = tokens
        self._local_auth = local_auth

    def check(self, request: Request) -> None:
        """Raises UnauthorizedError, ForbiddenError."""
        shown = request.headers.get("authorization", "")
        # Clients encode the separators, or don't.
        fields = dict(part.partition("=")[::2] for part in unquote_keeping_plus(shown).split("&"))
        now_s = request.now_ms / 1000
        if self._tokens is not None and fields.get("type") == "aad":
            _authorize(_authenticate(self._tokens, fields.get("sig", ""), now_s), request)
            return
        if not self._local_auth:
            raise UnauthorizedError("Local Authorization is disabled. Use an AAD token to authorize all requests.")
        self._key.check(request.method, request.address, request.headers, datetime.fromtimestamp(now_s, UTC))


def _authenticate(tokens: EntraTokens, token: str, now_s: float) -> TokenPrincipal:
    try:
        return tokens.check(token, is_cosmos_db, now_s)
    except CredentialError as reason:
        raise UnauthorizedError(f"The authorization token is not valid: {reason}.") from None


def _authorize(principal: TokenPrincipal, request: Request) -> None:
    """Raises ForbiddenError unless the principal's roles allow the request."""
    operation = request.operation
    is_data = request.address.kind in ("docs", "partitionkeydelete")
    is_metadata = request.method == "GET" and request.address.kind in ("", "dbs", "colls", "pkranges")
    if not is_data and not is_metadata:
        raise ForbiddenError(
            f"Request blocked by Auth: The given request [{request.method} /{request.address.kind}] cannot be "
            "authorized by AAD token in data plane. Learn more: https://aka.ms/cosmos-native-rbac.",
            substatus=NOT_BY_TOKEN,
        )
    address = request.address
    if address.kind == "":
        # What every client has to know first is told for a role in any part.
        roles = {one.role if isinstance(one, RoleAssignment) else one for one in principal.roles}
    else:
        roles = set(roles_at(principal.roles, _scope_of(address)))
    allowed = CONTRIBUTOR in roles or (READER in roles and operation in _READING) or (METADATA in roles and is_metadata)
    if not allowed:
        action = _ACTIONS.get(operation, f"{_ACCOUNT}/readMetadata") if is_data else f"{_ACCOUNT}/readMetadata"
        raise ForbiddenError(
            f"Request blocked by Auth: Request is blocked because principal [{principal.principal_id}] does not have "
            f"required RBAC permissions to perform action [{action}] on any scope. "
            "Learn more: https://aka.ms/cosmos-native-rbac.",
            substatus=ROLE_MISSING,
        )


def _scope_of(address: ResourcePath) -> str:
    """Where a role has to count: the container, the database, or the account."""
    if address.container:
        return address.container_link
    return f"dbs/{address.database}" if address.database else ""
