"""The built-in roles of data that identities can have, and what they allow.

Source: "Azure built-in roles" (Microsoft Learn), their `dataActions`; those of Cosmos DB are roles of its own.
"""

from collections.abc import Iterable
from typing import Final, Literal, get_args

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
    "EventGrid Data Sender",
    "Storage Blob Data Contributor",
    "Storage Blob Data Owner",
    "Storage Blob Data Reader",
]
MessagingService = Literal["Event Hubs", "Service Bus"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)

_RIGHTS: Final[dict[str, frozenset[Right]]] = {
    "Owner": ALL_RIGHTS,
    "Receiver": frozenset({Right.LISTEN}),
    "Sender": frozenset({Right.SEND}),
}


def messaging_rights(service: MessagingService, roles: Iterable[Role]) -> frozenset[Right]:
    """What `roles` allow in a namespace of `service`."""
    prefix = f"Azure {service} Data "
    return frozenset().union(*(_RIGHTS[role.removeprefix(prefix)] for role in roles if role.startswith(prefix)))
