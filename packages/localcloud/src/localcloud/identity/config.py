"""The issuer's clients and users, read from files.

    {"Clients": [{"ClientId": "shop-cli", "GrantTypes": ["client_credentials"], "Scopes": ["orders:read"],
                  "Audience": "shop"}],
     "Users": ["ada", "grace"],
     "ManagedIdentities": [{"Name": "shop-api", "Roles": ["Azure Event Hubs Data Sender"]}]}

A client that is not `Public` and has no `Secret` gets one on the first start, in `DATA/identity/secrets/CLIENT`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from localcloud.config import ConfigError
from localcloud.entra.identities import ManagedIdentity
from localcloud.unreadable import UNREADABLE

GrantType = Literal["authorization_code", "client_credentials", "refresh_token"]
SigningAlgorithm = Literal["ES256", "RS256"]

NAME_PATTERN = r"^[A-Za-z0-9._@:-]{1,128}$"
"""Of users."""
MAX_TOKEN_S = 86_400
DEFAULT_TOKEN_S = 3_600
DEFAULT_REFRESH_S = 14 * 86_400

# RFC 6749, section 3.3.
_Scope = Annotated[str, msgspec.Meta(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,128}\Z")]
_Name = Annotated[str, msgspec.Meta(pattern=rf"{NAME_PATTERN}(?!\n)")]
# A client's name is that of a file, too.
_ClientId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]


class ClientConfig(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """A client. `audience` is that of its access tokens.

    `initiate_login_uri` is where its own sign-in begins (OpenID Connect Core, section 4). A public client has no
    secret. `any_subject` lets it name the subject of a token that it gets by client credentials.
    """

    client_id: _ClientId
    audience: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    grant_types: tuple[GrantType, ...]
    scopes: tuple[_Scope, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    initiate_login_uri: str | None = None
    public: bool = False
    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None
    any_subject: bool = False

    def __repr__(self) -> str:
        return f"ClientConfig({self.client_id!r})"


class IdentityConfig(msgspec.Struct, frozen=True):
    """All that is declared: clients and managed identities by name, and the users that the sign-in page offers.

    `user_scopes` are scopes that these users may grant beside those of the client, and others may not.
    `token_s` is how long access tokens and ID tokens are good, `refresh_s` how long refresh tokens are.
    """

    clients: dict[str, ClientConfig] = {}
    users: tuple[str, ...] = ()
    managed_identities: dict[str, ManagedIdentity] = {}
    user_scopes: dict[str, tuple[str, ...]] = {}
    token_s: int = DEFAULT_TOKEN_S
    refresh_s: int = DEFAULT_REFRESH_S
    algorithm: SigningAlgorithm = "RS256"

    def askable(self, client: ClientConfig) -> tuple[str, ...]:
        """The scopes of APIs that `client` may ask users for."""
        return tuple(dict.fromkeys((*client.scopes, *(one for scopes in self.user_scopes.values() for one in scopes))))

    def grantable(self, client: ClientConfig, user: str) -> tuple[str, ...]:
        """The scopes of APIs that `user` may grant `client`."""
        return tuple(dict.fromkeys((*client.scopes, *self.user_scopes.get(user, ()))))


class _IdentityDocument(msgspec.Struct, rename="pascal", forbid_unknown_fields=True):
    clients: list[ClientConfig] = []
    users: list[_Name] = []
    managed_identities: list[ManagedIdentity] = []
    user_scopes: dict[_Name, tuple[_Scope, ...]] = {}
    access_token_seconds: Annotated[int, msgspec.Meta(ge=1, le=MAX_TOKEN_S)] | None = None
    refresh_token_seconds: Annotated[int, msgspec.Meta(ge=1, le=366 * 86_400)] | None = None
    signing_algorithm: SigningAlgorithm | None = None


def read_identity(files: Sequence[Path]) -> IdentityConfig:
    """What `files` declare; a later file's word on a client or a number stands for an earlier one's.

    Raises ConfigError.
    """
    clients: dict[str, ClientConfig] = {}
    managed: dict[str, ManagedIdentity] = {}
    users: dict[str, None] = {}
    user_scopes: dict[str, tuple[str, ...]] = {}
    made = IdentityConfig()
    for file in files:
        document = _document(file)
        for client in document.clients:
            _check(file, client)
            clients[client.client_id] = client
        managed.update((identity.name, identity) for identity in document.managed_identities)
        users.update(dict.fromkeys(document.users))
        user_scopes.update(document.user_scopes)
        made = msgspec.structs.replace(
            made,
            token_s=document.access_token_seconds or made.token_s,
            refresh_s=document.refresh_token_seconds or made.refresh_s,
            algorithm=document.signing_algorithm or made.algorithm,
        )
    return msgspec.structs.replace(
        made, clients=clients, users=tuple(users), managed_identities=managed, user_scopes=user_scopes
    )


def _document(file: Path) -> _IdentityDocument:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_IdentityDocument)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; expected a declaration of clients") from None
    except UNREADABLE as error:
        raise ConfigError(f"{file}: {error}; expected a declaration of clients as docs/identity.md shows it") from None


def _check(file: Path, client: ClientConfig) -> None:
    by_code = "authorization_code" in client.grant_types
    wrong = None
    if not client.grant_types:
        wrong = "GrantTypes is empty; expected at least one"
    elif by_code and not client.redirect_uris:
        wrong = "RedirectUris is empty; expected one at least for authorization_code"
    elif client.public and client.secret is not None:
        wrong = "Public is true and there is a Secret; expected one of them"
    elif client.public and "client_credentials" in client.grant_types:
        wrong = "GrantTypes has client_credentials; expected that of a client with a secret only"
    elif "refresh_token" in client.grant_types and not by_code:
        wrong = "GrantTypes has refresh_token; expected authorization_code with it, which gives refresh tokens"
    elif client.any_subject and "client_credentials" not in client.grant_types:
        wrong = "AnySubject is true; expected that with client_credentials only"
    else:
        wrong = next((found for uri in client.redirect_uris if (found := _unfit("RedirectUris", uri))), None)
        if wrong is None and client.initiate_login_uri is not None:
            wrong = _unfit("InitiateLoginUri", client.initiate_login_uri)
    if wrong:
        raise ConfigError(f"{file}: client {client.client_id}: {wrong}")


def _unfit(field: str, uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        fits = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        fits = False
    if fits and "#" not in uri and uri.isascii() and uri.isprintable() and " " not in uri:
        return None
    return f"{field} has {uri[:100]!r}; expected an absolute http or https address without fragment"
