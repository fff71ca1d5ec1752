"""What opens a namespace of Event Hubs or Service Bus: shared access keys, and tokens of Entra."""

from collections.abc import Mapping
from functools import partial

from localcloud.entra.audiences import AudienceCheck
from localcloud.entra.roles import MessagingService, messaging_rights
from localcloud.entra.tokens import EntraTokens
from localcloud.sas import PREFIX, CredentialError, Grant, Keys, Rules, no_rules

BEARER = "Bearer "


class LocalAuthDisabledError(CredentialError):
    """Shared access keys are turned off, as by `disableLocalAuth` on Azure."""


class NamespaceAccess(Keys):
    """Keys, those of `rules` too, and tokens of Entra for the audience of `service`. Without `local_auth` keys open
    nothing."""

    def __init__(
        self,
        secrets: Mapping[str, str],
        tokens: EntraTokens,
        service: MessagingService,
        is_audience: AudienceCheck,
        *,
        rules: Rules = no_rules,
        local_auth: bool = True,
    ) -> None:
        super().__init__(secrets, rules)
        self._tokens = tokens
        self._service = service
        self._is_audience = is_audience
        self._local_auth = local_auth

    def check_token(self, token: str, path: str, now: float) -> Grant:
        """As that of the keys. A token of Entra covers every path: the roles say what it allows there."""
        if token.startswith(PREFIX):
            self._check_local_auth()
            return super().check_token(token, path, now)
        return self.check_bearer(token.removeprefix(BEARER), now)

    def check_bearer(self, token: str, now: float) -> Grant:
        """What a token of Entra grants. Raises one of the kinds of CredentialError."""
        principal = self._tokens.check(token, self._is_audience, now)
        return Grant("", principal.expires_s, partial(messaging_rights, self._service, principal.roles))

    def check_secret(self, name: str, secret: str, entity: str = "") -> Grant:
        self._check_local_auth()
        return super().check_secret(name, secret, entity)

    def _check_local_auth(self) -> None:
        if not self._local_auth:
            raise LocalAuthDisabledError("keys are turned off here; expected a token of Entra")
