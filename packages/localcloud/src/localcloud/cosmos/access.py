"""Who may do what: the account's key, which may do everything, and tokens of Entra, by roles of data.

A token is sent as `type=aad&ver=1.0&sig=TOKEN`.

Sources: "Data plane actions reference" and "Troubleshoot forbidden exceptions" (Azure Cosmos DB documentation). That
databases and containers can also be queried for comes from azure-cosmos' own tests, which do so by tokens.
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
_READ_METADATA: Final = f"{_ACCOUNT}/readMetadata"
_READ_ITEM: Final = f"{_CONTAINER}/items/read"
_QUERY: Final = f"{_CONTAINER}/executeQuery"
_READ_CHANGES: Final = f"{_CONTAINER}/readChangeFeed"
_ACTIONS: Final = {
    "read": _READ_ITEM,
    "create": f"{_CONTAINER}/items/create",
    "replace": f"{_CONTAINER}/items/replace",
    "patch": f"{_CONTAINER}/items/replace",
    "upsert": f"{_CONTAINER}/items/upsert",
    "batch": f"{_CONTAINER}/items/upsert",
    "delete": f"{_CONTAINER}/items/delete",
    "query": _QUERY,
    "feed": _QUERY,
    "plan": _READ_METADATA,
    "changes": _READ_CHANGES,
}
_ALLOWED: Final = {
    READER: frozenset({_READ_METADATA, _READ_ITEM, _QUERY, _READ_CHANGES}),
    METADATA: frozenset({_READ_METADATA}),
}
"""The actions of each role but the contributor's, which has all."""


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
    address = request.address
    action = _action_of(request)
    if action is None:
        raise ForbiddenError(
            f"Request blocked by Auth: The given request [{request.method} /{address.kind}] cannot be "
            "authorized by AAD token in data plane. Learn more: https://aka.ms/cosmos-native-rbac.",
            substatus=NOT_BY_TOKEN,
        )
    if address.kind == "":
        # What every client has to know first is told for a role in any part.
        roles = {one.role if isinstance(one, RoleAssignment) else one for one in principal.roles}
    else:
        roles = set(roles_at(principal.roles, _scope_of(address)))
    if CONTRIBUTOR not in roles and not any(action in _ALLOWED.get(role, ()) for role in roles):
        raise ForbiddenError(
            f"Request blocked by Auth: Request is blocked because principal [{principal.principal_id}] does not have "
            f"required RBAC permissions to perform action [{action}] on any scope. "
            "Learn more: https://aka.ms/cosmos-native-rbac.",
            substatus=ROLE_MISSING,
        )


def _action_of(request: Request) -> str | None:
    """The action of data that a request is; None for management, which no role of data can do."""
    kind, method = request.address.kind, request.method
    match kind:
        case "docs" | "partitionkeydelete":
            return _ACTIONS.get(request.operation, _READ_METADATA)
        case "conflicts":
            return f"{_CONTAINER}/manageConflicts"
        case "sprocs" if method == "POST" and request.address.id:
            return f"{_CONTAINER}/executeStoredProcedure"
        case "" | "dbs" | "colls" | "pkranges" if method == "GET" or (method == "POST" and request.is_query):
            return _READ_METADATA
    return None


def _scope_of(address: ResourcePath) -> str:
    """Where a role has to count: the container, the database, or the account."""
    if address.container:
        return address.container_link
    return f"dbs/{address.database}" if address.database else ""
