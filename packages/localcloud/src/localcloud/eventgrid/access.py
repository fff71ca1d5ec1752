"""Who may publish to a topic and who may subscribe webhooks: by the topic's key, and by tokens of Entra.

Source: "Authenticate publishing clients with Microsoft Entra ID" and "Azure built-in roles" (Microsoft Learn).
Publishers have the role EventGrid Data Sender. Subscriptions are resources of Resource Manager, for which EventGrid
EventSubscription Contributor is enough.
"""

import hmac
from collections.abc import Mapping
from typing import Final

from localcloud.entra.access import BEARER
from localcloud.entra.audiences import AudienceCheck, is_event_grid, is_resource_manager
from localcloud.entra.roles import Role, roles_at
from localcloud.entra.tokens import EntraTokens
from localcloud.sas import CredentialError

KEY_HEADER: Final = "aeg-sas-key"
SENDER: Final[Role] = "EventGrid Data Sender"
SUBSCRIBER: Final[Role] = "EventGrid EventSubscription Contributor"


class TopicAccessError(Exception):
    """A request is refused. `status` is 401 for a credential that opens nothing, 403 for one that lacks the role."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TopicAccess:
    """Checks the headers of requests by `key`, and by `tokens` where there are some. Without `local_auth` the key opens
    nothing."""

    def __init__(self, key: str, tokens: EntraTokens | None = None, *, local_auth: bool = True) -> None:
        self._key = key
        self._tokens = tokens
        self._local_auth = local_auth

    def check_publisher(self, headers: Mapping[str, str], now_s: float) -> None:
        """Raises TopicAccessError unless the request may publish."""
        self._check(headers, is_event_grid, SENDER, now_s)

    def check_subscriber(self, headers: Mapping[str, str], now_s: float) -> None:
        """Raises TopicAccessError unless the request may read and change subscriptions."""
        self._check(headers, is_resource_manager, SUBSCRIBER, now_s)

    def _check(self, headers: Mapping[str, str], is_audience: AudienceCheck, role: Role, now_s: float) -> None:
        authorization = headers.get("authorization", "")
        if self._tokens is not None and authorization.startswith(BEARER):
            try:
                principal = self._tokens.check(authorization.removeprefix(BEARER), is_audience, now_s)
            except CredentialError as reason:
                raise TopicAccessError(401, f"the token is not valid: {reason}") from None
            if role not in roles_at(principal.roles, ""):
                raise TopicAccessError(403, f"principal {principal.principal_id} lacks the role {role}")
            return
        if not self._local_auth:
            raise TopicAccessError(401, "keys are turned off here; expected a token of Entra")
        shown = headers.get(KEY_HEADER, "")
        if not hmac.compare_digest(shown.encode(), self._key.encode()):
            raise TopicAccessError(401, f"{KEY_HEADER}: saw another, or none; expected the topic's key")
