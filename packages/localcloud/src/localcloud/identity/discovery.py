"""What the issuer says of itself (OpenID Connect Discovery 1.0, RFC 8414)."""

from typing import Any

from localcloud.identity.authorization_request import OPENID_SCOPES
from localcloud.identity.client_authentication import METHODS
from localcloud.identity.config import IdentityConfig

AUTHORIZE = "/authorize"
TOKEN = "/token"  # noqa: S105 - a path
REVOKE = "/revoke"
JWKS = "/keys"
TRUST = "/trust"


def metadata(issuer: str, config: IdentityConfig) -> dict[str, Any]:
    """The discovery document."""
    scopes = {scope for client in config.clients.values() for scope in config.askable(client)}
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}{AUTHORIZE}",
        "token_endpoint": f"{issuer}{TOKEN}",
        "revocation_endpoint": f"{issuer}{REVOKE}",
        "jwks_uri": f"{issuer}{JWKS}",
        "scopes_supported": [*OPENID_SCOPES, *sorted(scopes)],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [config.algorithm],
        "token_endpoint_auth_methods_supported": list(METHODS),
        "revocation_endpoint_auth_methods_supported": list(METHODS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "claims_supported": ["iss", "sub", "aud", "iat", "nbf", "exp", "auth_time", "nonce", "preferred_username"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }
