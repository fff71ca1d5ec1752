"""The managed identities of the system that `songline up --like-azure` runs: localcloud's endpoint, and who is who."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from songline.processes import emulator_files
from songline.processes.private_file import write_private
from songline.schemas.decoding import Decoder

ENDPOINT = "IDENTITY_ENDPOINT"
HEADER = "IDENTITY_HEADER"
CLIENT = "AZURE_CLIENT_ID"
VARIABLES = (ENDPOINT, HEADER, CLIENT)
"""What azure-identity reads of the process's environment."""

COMMANDS = "commands"
"""The identity of `up` itself and of other terminals."""


class _Identity(Struct, rename="pascal"):
    name: str
    client_id: str


class _Declared(Struct, rename="pascal"):
    managed_identities: list[_Identity] = field(default_factory=list)


_declared = Decoder(_Declared, "not-identities")


def client_ids() -> dict[str, str]:
    """The client id of each process's identity, by the process's name."""
    file = emulator_files.FOLDER / "identity" / "localcloud.json"
    found = _declared.decode(file.read_bytes()).managed_identities
    return {identity.name.removeprefix("songline-"): identity.client_id for identity in found}


def identity_environment(data: Path, issuer: str) -> dict[str, str]:
    """The variables by which DefaultAzureCredential finds localcloud's endpoint at `issuer`. Raises OSError."""
    return {ENDPOINT: f"{issuer}/msi/token", HEADER: _kept_header(data), CLIENT: client_ids()[COMMANDS]}


def act_as_declared(environ: Mapping[str, str]) -> None:
    """Let this process be whom `environ` names: azure-identity asks the process's environment alone."""
    for name in VARIABLES:
        if name in environ:
            os.environ.setdefault(name, environ[name])


def _kept_header(data: Path) -> str:
    """The secret that localcloud's endpoint asks for, made before its first start."""
    file = data / "identity" / "managed-identity-header"
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(file, secrets.token_urlsafe(32).encode())
    return file.read_text(encoding="ascii").strip()
