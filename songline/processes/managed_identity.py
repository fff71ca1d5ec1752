"""The managed identities of the system that `songline up --like-azure` runs: who is who, with which roles.

A process has the roles that `deployment.access` gives it on Azure, in the same hubs, queues and containers.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec

from songline.deployment.access import EVERYTHING, PROCESSES, ProcessAccess
from songline.processes.private_file import write_private
from songline.schemas.channels import DATABASE, MUSIC_EVENTS, NOW_PLAYING

ENDPOINT = "IDENTITY_ENDPOINT"
HEADER = "IDENTITY_HEADER"
CLIENT = "AZURE_CLIENT_ID"
VARIABLES = (ENDPOINT, HEADER, CLIENT)
"""What azure-identity reads of the process's environment."""

OTHER_SIGN_INS = (
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TOKEN_CREDENTIALS",
    "IDENTITY_SERVER_THUMBPRINT",
)
"""What azure-identity would take first, or take that endpoint for another kind of."""

COMMANDS = "commands"
"""The identity of `up` itself and of other terminals."""
SIMULATOR = "simulator"

IDENTITIES_FILE = "managed-identities.json"

_IDS = UUID("ddaa4eea-8b44-4d3c-92a6-736f6e676c69")
OPERATOR_ROLES = (
    "Azure Event Hubs Data Owner",
    "Azure Service Bus Data Owner",
    "Cosmos DB Built-in Data Contributor",
    "EventGrid EventSubscription Contributor",
    "Storage Blob Data Contributor",
)
"""What an operator is given on Azure to use the commands: docs/deploy.md."""
_STORE = {"reader": "Cosmos DB Built-in Data Reader", "contributor": "Cosmos DB Built-in Data Contributor"}
_BLOBS = {"reader": "Storage Blob Data Reader", "contributor": "Storage Blob Data Contributor"}


def client_ids() -> dict[str, str]:
    """The client id of each process's identity, by the process's name. They never change."""
    return {name: str(uuid5(_IDS, name)) for name in (*PROCESSES, SIMULATOR, COMMANDS)}


def write_identities(data: Path) -> None:
    """Write the declaration of all identities, which localcloud reads at its start. Raises OSError."""
    write_private(data / IDENTITIES_FILE, msgspec.json.encode({"ManagedIdentities": list(_identities())}))


def identity_environment(data: Path, issuer: str) -> dict[str, str]:
    """The variables by which DefaultAzureCredential finds localcloud's endpoint at `issuer`. Raises OSError."""
    return {ENDPOINT: f"{issuer}/msi/token", HEADER: _kept_header(data), CLIENT: client_ids()[COMMANDS]}


def act_as_declared(environ: Mapping[str, str]) -> None:
    """Let this process be whom `environ` names: azure-identity asks the process's environment alone.

    A sign-in to Azure that the shell has is left out, except where it names an identity of this system.
    """
    if ENDPOINT not in environ:
        return
    chosen = os.environ.get(CLIENT)
    for name in OTHER_SIGN_INS:
        os.environ.pop(name, None)
    os.environ.update({name: environ[name] for name in VARIABLES if name in environ})
    if chosen in client_ids().values():
        os.environ[CLIENT] = str(chosen)


def _identities() -> Iterator[dict[str, Any]]:
    roles = {name: list(_roles(access)) for name, access in PROCESSES.items()}
    roles["broadcast"].append("EventGrid Data Sender")
    roles[SIMULATOR] = list(_roles(ProcessAccess(hubs={MUSIC_EVENTS: ("sender",), NOW_PLAYING: ("sender",)})))
    roles[COMMANDS] = list(OPERATOR_ROLES)
    for name, client_id in client_ids().items():
        yield {"Name": f"songline-{name}", "ClientId": client_id, "Roles": roles[name]}


def _roles(access: ProcessAccess) -> Iterator[str | dict[str, str]]:
    for service, places in (("Event Hubs", access.hubs), ("Service Bus", access.queues)):
        for place, rights in places.items():
            for right in rights:
                yield _assigned(f"Azure {service} Data {right.capitalize()}", place)
    for container, store_right in access.containers.items():
        scope = f"/dbs/{DATABASE}/colls/{container}"
        yield _assigned(_STORE[store_right], f"/dbs/{DATABASE}" if container == EVERYTHING else scope)
        if container != EVERYTHING:
            # On Azure the parameter `versions` assigns them.
            yield _assigned(_STORE[store_right], f"{scope}-v*")
    if access.containers:
        yield "Cosmos DB Metadata Reader"
    for container, blob_right in access.blobs.items():
        yield _assigned(_BLOBS[blob_right], container)


def _assigned(role: str, place: str) -> str | dict[str, str]:
    return role if place == EVERYTHING else {"Role": role, "Scope": place}


def _kept_header(data: Path) -> str:
    """The secret that localcloud's endpoint asks for, made before its first start."""
    file = data / "identity" / "managed-identity-header"
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(file, secrets.token_urlsafe(32).encode())
    return file.read_text(encoding="ascii").strip()
