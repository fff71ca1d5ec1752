"""Managed identities: the processes that get tokens without a secret of their own, and the roles that they have.

{"ManagedIdentities": [{"Name": "shop-api", "ClientId": "…", "Roles": [
  "Azure Event Hubs Data Sender",
  {"Role": "Cosmos DB Built-in Data Reader", "Scope": "/dbs/shop/colls/orders"}]}]}
"""

from collections.abc import Mapping
from typing import Annotated, Final
from uuid import UUID, uuid5

import msgspec

from localcloud.entra.roles import AssignedRole

TENANT: Final = "72f98800-0000-4000-8000-6c6f63616c63"
"""The id of the one tenant."""

_IDS: Final = UUID("3f0c6a1e-4f6e-4f5f-9d1a-6c6f63616c63")


class ManagedIdentity(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """A user-assigned identity. Ids that are not declared are made from its name, and stay the same."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{2,127}\Z")]
    roles: tuple[AssignedRole, ...] = ()
    declared_id: UUID | None = msgspec.field(default=None, name="ClientId")

    @property
    def client_id(self) -> str:
        """What a process names it by: `AZURE_CLIENT_ID`."""
        return str(self.declared_id or uuid5(_IDS, f"client {self.name}"))

    @property
    def principal_id(self) -> str:
        """Whom roles are assigned to: `oid` and `sub` of its tokens."""
        return str(uuid5(_IDS, f"principal {self.name}"))


def by_principal(identities: Mapping[str, ManagedIdentity]) -> dict[str, ManagedIdentity]:
    """The identities by their principal ids."""
    return {identity.principal_id: identity for identity in identities.values()}
