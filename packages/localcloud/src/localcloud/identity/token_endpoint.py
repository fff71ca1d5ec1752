"""The token endpoint and the revocation endpoint: grants become tokens (RFC 6749, RFC 7009)."""

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localcloud.identity import token_claims
from localcloud.identity.authorization_codes import AuthorizationCodes, AuthorizationGrant, UsedCodeError
from localcloud.identity.authorization_request import granted_scopes
from localcloud.identity.client_authentication import authenticate
from localcloud.identity.client_secrets import ClientSecrets
from localcloud.identity.config import NAME_PATTERN, ClientConfig, IdentityConfig
from localcloud.identity.errors import OAuthError, seen
from localcloud.identity.parameters import Parameters, asked_scopes, required
from localcloud.identity.refresh_tokens import RefreshGrant, RefreshTokens
from localcloud.identity.signing_keys import SigningKeys
from localcloud.identity.token_claims import TokenSubject

_NAME = re.compile(NAME_PATTERN)

TokenAnswer = dict[str, Any]


def new_secret() -> str:
    """A code or a refresh token: 256 bits that nobody guesses."""
    return secrets.token_urlsafe(32)


class TokenEndpoint:
    """Gives tokens for grants. `issuer` says the issuer's address, `now_s` is the clock (unix seconds).

    Everything may raise OSError: what can't be written is not given away.
    """

    def __init__(
        self, folder: Path, config: IdentityConfig, *, issuer: Callable[[], str], now_s: Callable[[], float]
    ) -> None:
        """Raises IdentityStateError and OSError."""
        self._config = config
        self._issuer = issuer
        self._now_s = now_s
        self.keys = SigningKeys(folder / "keys.json", config.algorithm)
        self.codes = AuthorizationCodes(new_secret)
        self._secrets = ClientSecrets(folder / "secrets", config.clients)
        self._refresh = RefreshTokens(folder / "refresh-tokens.json", new_secret)

    def answer(self, authorization: str | None, parameters: Parameters) -> TokenAnswer:
        """The tokens of a request. Raises OAuthError."""
        client = self._client(authorization, parameters)
        kind = required(parameters, "grant_type")
        give = {
            "authorization_code": self._by_code,
            "client_credentials": self._by_credentials,
            "refresh_token": self._by_refresh_token,
        }.get(kind)
        if give is None:
            raise OAuthError(
                "unsupported_grant_type",
                f"grant_type: saw {seen(kind)}, expected authorization_code, client_credentials or refresh_token",
            )
        if kind not in client.grant_types:
            raise OAuthError("unauthorized_client", f"{kind} is not declared for this client")
        return give(client, parameters)

    def revoke(self, authorization: str | None, parameters: Parameters) -> None:
        """End a refresh token with its family. A token that nobody knows is no error. Raises OAuthError."""
        client = self._client(authorization, parameters)
        token = required(parameters, "token")
        if self._refresh.revoke(token, client.client_id, self._now_s()):
            return
        # Access tokens are JWTs, which APIs check by themselves.
        if token.count(".") == 2:
            raise OAuthError(
                "unsupported_token_type", "an access token ends by its time alone; revoke the refresh token with it"
            )

    def _client(self, authorization: str | None, parameters: Parameters) -> ClientConfig:
        return authenticate(self._config.clients, self._secrets, authorization, parameters)

    def _by_credentials(self, client: ClientConfig, parameters: Parameters) -> TokenAnswer:
        subject = parameters.get("subject")
        if subject is not None:
            if not client.any_subject:
                raise OAuthError("unauthorized_client", "subject is not declared for this client: AnySubject")
            if not _NAME.fullmatch(subject):
                raise OAuthError("invalid_request", f"subject: saw {seen(subject)}, expected {NAME_PATTERN}")
        scopes = asked_scopes(parameters, client.scopes)
        return self._tokens(TokenSubject(subject or client.client_id, client.client_id, client.audience, scopes))

    def _by_code(self, client: ClientConfig, parameters: Parameters) -> TokenAnswer:
        code, redirect_uri = required(parameters, "code"), required(parameters, "redirect_uri")
        verifier, now_s = required(parameters, "code_verifier"), self._now_s()
        try:
            grant = self.codes.redeem(code, client.client_id, redirect_uri, verifier, now_s)
        except UsedCodeError as error:
            self._refresh.end_family(error.family, now_s)
            raise
        about = TokenSubject(grant.subject, client.client_id, client.audience, grant.scopes)
        answer = self._tokens(about)
        if "openid" in grant.scopes:
            answer["id_token"] = self._identity(about, grant, now_s)
        if "refresh_token" in client.grant_types:
            kept = RefreshGrant(
                client.client_id,
                grant.subject,
                grant.scopes,
                grant.granted_s,
                now_s + self._config.refresh_s,
                grant.family,
            )
            answer["refresh_token"] = self._refresh.issue(kept, now_s)
        return answer

    def _by_refresh_token(self, client: ClientConfig, parameters: Parameters) -> TokenAnswer:
        token, now_s = required(parameters, "refresh_token"), self._now_s()
        grant = self._refresh.find(token, client.client_id, now_s)
        # The client may have been declared with fewer scopes since the user signed in.
        scopes = asked_scopes(parameters, granted_scopes(self._config, client, grant.subject, grant.scopes))
        answer = self._tokens(TokenSubject(grant.subject, client.client_id, client.audience, scopes))
        # The sign-in as a whole is over when it was to be; what the next token may ask for stays what was granted.
        answer["refresh_token"] = self._refresh.replace(token, grant, now_s)
        return answer

    def _tokens(self, about: TokenSubject) -> TokenAnswer:
        now_s = self._now_s()
        claims = token_claims.access_claims(self._issuer(), about, secrets.token_hex(16), now_s, self._config.token_s)
        return {
            "access_token": token_claims.signed(claims, token_claims.ACCESS_TOKEN_TYPE, self.keys.current(now_s)),
            "token_type": "Bearer",
            "expires_in": self._config.token_s,
            "scope": " ".join(about.scopes),
        }

    def _identity(self, about: TokenSubject, grant: AuthorizationGrant, now_s: float) -> str:
        claims = token_claims.identity_claims(
            self._issuer(), about, grant.nonce, grant.granted_s, now_s, self._config.token_s
        )
        return token_claims.signed(claims, token_claims.ID_TOKEN_TYPE, self.keys.current(now_s))
