"""Identity in the system that `songline up` runs: its issuer, its clients, and what needs no token."""

from collections.abc import Mapping
from pathlib import Path

from songline.api.guard_settings import AUTH, OPEN
from songline.api.session.session_key import SESSION_KEY
from songline.api.session.settings import PAGE_CLIENT_SECRET
from songline.identity.scopes import Scope
from songline.identity.settings import (
    AUDIENCE,
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_FILE,
    ISSUER,
    JWKS,
    TOKEN,
    TOKEN_FILE,
)
from songline.identity.token_auth import TokenAuth
from songline.identity.token_source import token_source
from songline.players.tokens.token_key import TOKEN_KEY
from songline.processes.page_client import trust_link

COMMANDS_CLIENT = "songline-cli"
"""The client that `infra/emulators/identity/localcloud.json` declares for commands of this machine."""
OWN_CLIENT = "songline-up"
"""The client that it declares for `up` itself, which may read charts."""
OPEN_HERE = "charts,songs,page,docs"
"""The groups of operations that need no token: all that `up` prints can be opened."""
_CALLERS_OWN = (CLIENT_ID, CLIENT_SECRET, CLIENT_SECRET_FILE, TOKEN, TOKEN_FILE)
_OTHER_SYSTEMS = (
    *(PAGE_CLIENT_SECRET, SESSION_KEY, TOKEN_KEY),
    # What azure-identity signs in to Azure by (azure.identity.EnvironmentCredential).
    *("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_PASSWORD"),
)
"""Secrets that the shell may have for another system. The one that runs here has its own in files."""


def identity_settings(environ: Mapping[str, str], data: Path, issuer: str) -> dict[str, str]:
    """The settings of the API and of its callers, with localcloud's issuer at the address `issuer`.

    `environ` may turn tokens off, and choose what is open.
    """
    return {
        ISSUER: issuer,
        AUDIENCE: "songline",
        # Not from the issuer's port: while localcloud is down, another user may listen there.
        JWKS: (data.resolve() / "identity" / "jwks.json").as_uri(),
        CLIENT_ID: COMMANDS_CLIENT,
        # localcloud makes the secret.
        CLIENT_SECRET_FILE: str(data.resolve() / "identity" / "secrets" / COMMANDS_CLIENT),
        AUTH: environ.get(AUTH) or "on",
        OPEN: environ.get(OPEN, OPEN_HERE),
    }


def without_client(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for a process of the system. None of them calls the API, so that none gets a client or a token; nor
    does one get a secret of another system."""
    return {name: value for name, value in environ.items() if name not in _CALLERS_OWN + _OTHER_SYSTEMS}


def sign_in_link(environ: Mapping[str, str], data: Path) -> str | None:
    """Where a browser begins to sign in; None where nobody is asked for a token, so that there is nothing to sign in
    for."""
    return None if environ[AUTH] == "off" else trust_link(data, environ[ISSUER])


def own_auth(environ: Mapping[str, str]) -> TokenAuth:
    """The tokens that `up` itself shows the API of `identity_settings`."""
    secret = Path(environ[CLIENT_SECRET_FILE]).with_name(OWN_CLIENT)
    own = {ISSUER: environ[ISSUER], CLIENT_ID: OWN_CLIENT, CLIENT_SECRET_FILE: str(secret)}
    return TokenAuth(token_source(own, scopes=[Scope.CHARTS_READ]))
