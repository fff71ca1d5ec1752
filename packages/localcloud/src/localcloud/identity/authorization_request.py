"""Authorization requests (RFC 6749, section 4.1.1; OpenID Connect Core, section 3.1.2.1), checked."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from localcloud.identity.authorization_codes import is_challenge
from localcloud.identity.config import ClientConfig, IdentityConfig
from localcloud.identity.errors import OAuthError, UnknownReturnError, seen
from localcloud.identity.parameters import Parameters, asked_scopes, required

OPENID_SCOPES = ("openid", "profile", "offline_access")
"""Every client may ask for these; they are no scopes of an API."""

_NOT_SUPPORTED = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}


class ReturnAddress(msgspec.Struct, frozen=True):
    """Where the browser goes back to: an address that the client declared, with the client's `state`."""

    client: ClientConfig
    redirect_uri: str
    state: str | None

    def to(self, issuer: str, answer: Mapping[str, str]) -> str:
        """The address with `answer`, the state and the issuer (RFC 9207) in its query."""
        query = {**answer, **({} if self.state is None else {"state": self.state}), "iss": issuer}
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{urlencode(query)}"


class AuthorizationRequest(msgspec.Struct, frozen=True):
    """What a client asks a user for."""

    scopes: tuple[str, ...]
    challenge: str
    nonce: str | None
    hint: str | None


def read_return(clients: Mapping[str, ClientConfig], parameters: Parameters) -> ReturnAddress:
    """Where the answer goes. Raises UnknownReturnError: then it goes nowhere, as the address could be anybody's."""
    client_id, redirect_uri = parameters.get("client_id"), parameters.get("redirect_uri")
    client = clients.get(client_id or "")
    if client is None:
        raise UnknownReturnError(f"client_id: saw {seen(client_id)}, expected a client that is declared")
    if redirect_uri not in client.redirect_uris:
        raise UnknownReturnError(
            f"redirect_uri: saw {seen(redirect_uri)}, expected one of those that are declared for {client.client_id}, "
            "to the letter"
        )
    return ReturnAddress(client, redirect_uri, parameters.get("state"))


def read_request(config: IdentityConfig, client: ClientConfig, parameters: Parameters) -> AuthorizationRequest:
    """The request of `client`; raises OAuthError, which goes back to the client."""
    for name, code in _NOT_SUPPORTED.items():
        if name in parameters:
            raise OAuthError(code, f"there is a {name}; expected the request in parameters of its own")
    kind = required(parameters, "response_type")
    if kind != "code":
        raise OAuthError("unsupported_response_type", f"response_type: saw {seen(kind)}, expected code")
    if "authorization_code" not in client.grant_types:
        raise OAuthError("unauthorized_client", "authorization_code is not declared for this client")
    if parameters.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "response_mode: expected query, or nothing")
    challenge = required(parameters, "code_challenge")
    method = parameters.get("code_challenge_method")
    if method != "S256":
        raise OAuthError("invalid_request", f"code_challenge_method: saw {seen(method)}, expected S256")
    if not is_challenge(challenge):
        raise OAuthError("invalid_request", "code_challenge: expected the base64url of 32 bytes, without padding")
    if parameters.get("prompt") == "none":
        raise OAuthError("login_required", "nobody is signed in here for longer than one request")
    return AuthorizationRequest(
        _scopes(config, client, parameters), challenge, parameters.get("nonce"), parameters.get("login_hint")
    )


def granted_scopes(config: IdentityConfig, client: ClientConfig, user: str, asked: Sequence[str]) -> tuple[str, ...]:
    """Those of the scopes that were asked for which `user` may grant `client`."""
    allowed = (*config.grantable(client, user), *OPENID_SCOPES)
    return tuple(scope for scope in asked if scope in allowed)


def _scopes(config: IdentityConfig, client: ClientConfig, parameters: Parameters) -> tuple[str, ...]:
    askable = config.askable(client)
    if "scope" not in parameters:
        return askable
    return asked_scopes(parameters, (*askable, *OPENID_SCOPES))
