"""Managed identities for tests: declared in a file, and their tokens as the SDKs get them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from localcloud.entra.identities import ManagedIdentity
from localcloud.entra.roles import AssignedRole, RoleAssignment
from localcloud.testing import LocalCloud, LocalCloudProcess

OWNER = "owner"
IDENTITIES: Mapping[str, tuple[AssignedRole, ...]] = {
    OWNER: (
        "Azure Event Hubs Data Owner",
        "Azure Service Bus Data Owner",
        "Cosmos DB Built-in Data Contributor",
        "Storage Blob Data Contributor",
    ),
    "sender": ("Azure Event Hubs Data Sender", "Azure Service Bus Data Sender", "Cosmos DB Built-in Data Reader"),
    "receiver": ("Azure Event Hubs Data Receiver", "Azure Service Bus Data Receiver"),
    # Of one hub, one queue and one container each.
    "part": (
        RoleAssignment("Azure Event Hubs Data Owner", "orders"),
        RoleAssignment("Azure Service Bus Data Sender", "invoices"),
        RoleAssignment("Cosmos DB Built-in Data Contributor", "/dbs/shop/colls/orders"),
    ),
    "nobody": (),
}


def declared(file: Path, **more: object) -> Path:
    """`file`, written as a declaration of IDENTITIES; `more` is besides in it."""
    identities = [{"Name": name, "Roles": msgspec.to_builtins(roles)} for name, roles in IDENTITIES.items()]
    file.write_text(json.dumps({"ManagedIdentities": identities, **more}))
    return file


def environment(cloud: LocalCloud, process: LocalCloudProcess, name: str) -> dict[str, str]:
    """The variables by which `DefaultAzureCredential` finds the identity."""
    return {
        "IDENTITY_ENDPOINT": f"{cloud.issuer}/msi/token",
        "IDENTITY_HEADER": (process.data / "identity" / "managed-identity-header").read_text(),
        "AZURE_CLIENT_ID": ManagedIdentity(name).client_id,
    }


@contextmanager
def acting_as(cloud: LocalCloud, process: LocalCloudProcess, name: str) -> Iterator[None]:
    """The process's environment is that of the identity for as long."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment(cloud, process, name).items():
            patch.setenv(variable, value)
        yield
