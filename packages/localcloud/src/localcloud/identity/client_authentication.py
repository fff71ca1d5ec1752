"""Which client sends a request to the token endpoint or the revocation endpoint (RFC 6749, section 2.3)."""

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import unquote_plus

from localcloud.identity.client_secrets import ClientSecrets
from localcloud.identity.config import ClientConfig
from localcloud.identity.errors import OAuthError
from localcloud.identity.parameters import Parameters

METHODS = ("client_secret_basic", "client_secret_post", "none")


def authenticate(
    clients: Mapping[str, ClientConfig], secrets: ClientSecrets, authorization: str | None, parameters: Parameters
) -> ClientConfig:
    """The client that a request is from, by its Authorization header or by parameters of its body.

    Raises OAuthError: `invalid_client` with status 401, for every reason alike, so that nobody learns which clients
    there are; `invalid_request` for two ways at once.
    """
    secret: str | None
    if authorization is not None:
        if "client_secret" in parameters:
            raise OAuthError("invalid_request", "the client authenticates in the header and in the body; expected one")
        client_id, secret = _basic(authorization)
        if parameters.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_request", "client_id is not the client of the header; expected the same")
    else:
        client_id, secret = parameters.get("client_id", ""), parameters.get("client_secret")
    client = clients.get(client_id)
    if client is None:
        raise _unknown()
    if client.public:
        # A secret that nobody checks would seem to protect something.
        if secret is not None:
            raise _unknown()
    elif secret is None or not secrets.fits(client_id, secret):
        raise _unknown()
    return client


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8") if scheme.lower() == "basic" else ""
        name, colon, secret = text.partition(":")
        if colon:
            # They are form-encoded before they are joined.
            return unquote_plus(name, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, UnicodeError):
        pass
    raise _unknown()


def _unknown() -> OAuthError:
    return OAuthError(
        "invalid_client", "expected a client that is declared, with its secret (HTTP Basic or client_secret)", 401
    )
