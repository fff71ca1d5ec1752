"""The roles of data that identities can have, and what they allow, in a whole service or in one part of it.

Source: "Azure built-in roles" (Microsoft Learn), their `dataActions`; those of Cosmos DB are roles of its own.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal, get_args

import msgspec

from localcloud.sas import ALL_RIGHTS, Right

Role = Literal[
    "Azure Event Hubs Data Owner",
    "Azure Event Hubs Data Receiver",
    "Azure Event Hubs Data Sender",
    "Azure Service Bus Data Owner",
    "Azure Service Bus Data Receiver",
    "Azure Service Bus Data Sender",
    "Cosmos DB Built-in Data Contributor",
    "Cosmos DB Built-in Data Reader",
    "Cosmos DB Metadata Reader",
    "EventGrid Data Sender",
    "EventGrid EventSubscription Contributor",
    "Storage Blob Data Contributor",
    "Storage Blob Data Owner",
    "Storage Blob Data Reader",
]
"""`Cosmos DB Metadata Reader` stands for a role of one's own with the action `readMetadata` alone."""
MessagingService = Literal["Event Hubs", "Service Bus"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)


class RoleAssignment(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """A role in one part of a service.

    `scope` is the name of a hub, a queue, a topic or a blob container; in Cosmos DB `/dbs/NAME` or
    `/dbs/NAME/colls/NAME`. A scope that ends in `*` is every part whose name begins so: it stands for assignments that
    are made later, for parts that are made later.
    """

    role: Role
    scope: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


AssignedRole = Role | RoleAssignment


def roles_at(roles: Iterable[AssignedRole], path: str) -> Iterator[Role]:
    """The roles that count at `path`: those of the whole service, and those of a part that holds the path."""
    place = f"{path.strip('/').lower()}/"
    for one in roles:
        if not isinstance(one, RoleAssignment):
            yield one
        elif one.scope.endswith("*"):
            if place.startswith(one.scope[:-1].lstrip("/").lower()):
                yield one.role
        elif place.startswith(f"{one.scope.strip('/').lower()}/"):
            yield one.role


_RIGHTS: Final[dict[str, frozenset[Right]]] = {
    "Owner": ALL_RIGHTS,
    "Receiver": frozenset({Right.LISTEN}),
    "Sender": frozenset({Right.SEND}),
}


def messaging_rights(service: MessagingService, roles: Iterable[AssignedRole], path: str) -> frozenset[Right]:
    """What `roles` allow at `path` in a namespace of `service`."""
    prefix = f"Azure {service} Data "
    found = roles_at(roles, path)
    return frozenset().union(*(_RIGHTS[role.removeprefix(prefix)] for role in found if role.startswith(prefix)))
