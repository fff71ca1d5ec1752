"""Secrets of clients: those that are declared, and files with those that were made on the first start."""

import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path

from localcloud.identity.config import ClientConfig
from localcloud.identity.errors import IdentityStateError
from localcloud.private_file import private_folder, write_private


class ClientSecrets:
    """The secret of every client that has one. Those that are not declared are in `folder`, a file for each client."""

    def __init__(self, folder: Path, clients: Mapping[str, ClientConfig]) -> None:
        """Makes the secrets that are missing. Raises IdentityStateError and OSError."""
        self._secrets = {}
        for client in clients.values():
            if not client.public:
                self._secrets[client.client_id] = client.secret or _kept(folder, client.client_id)

    def fits(self, client_id: str, secret: str) -> bool:
        """Whether it is that client's secret; the time that this takes tells nothing about it."""
        expected = self._secrets.get(client_id)
        return expected is not None and hmac.compare_digest(expected.encode(), secret.encode())


def _kept(folder: Path, client_id: str) -> str:
    file = folder / client_id
    if not file.exists():
        private_folder(folder)
        write_private(file, secrets.token_urlsafe(32).encode())
    try:
        secret = file.read_text("utf-8").strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret:
        # An empty secret is one that everybody knows.
        raise IdentityStateError(
            f"{file} holds no secret: expected text in UTF-8. It was damaged; delete it, and a new one is made"
        )
    return secret
