"""Whether the credentials that a client has shown cover what it asks for."""

import logging
from collections.abc import Iterable

from localcloud.amqp.errors import UNAUTHORIZED_ACCESS, AmqpError, claims_missing
from localcloud.amqp.types import Value
from localcloud.sas import CredentialError, Grant, Keys, Right

log = logging.getLogger(__name__)


def check_grants(grants: Iterable[Grant], path: str, right: Right | None, now: float) -> None:
    """Raises AmqpError (unauthorized) unless one of `grants` covers `path` at `now`, with `right` or any."""
    covering = [grant for grant in grants if grant.expires > now and grant.covers(path)]
    if not covering:
        raise AmqpError(
            UNAUTHORIZED_ACCESS,
            f"Unauthorized access to '{path}': put a token for it to $cbs first, or use SASL PLAIN.",
        )
    if not any(right in found if right else found for found in (grant.rights_at(path) for grant in covering)):
        raise claims_missing(path, right)


def check_request_token(keys: Keys, token: Value, path: str, now: float) -> None:
    """Raises AmqpError (unauthorized) unless `token`, which came with a request, covers `path` at `now`."""
    text = token.decode(errors="replace") if isinstance(token, bytes) else token
    try:
        if not keys.check_token(text if isinstance(text, str) else "", path, now).rights_at(path):
            raise claims_missing(path, None)
    except CredentialError as reason:
        log.warning("the token of a request was refused: %s", reason)
        raise AmqpError(
            UNAUTHORIZED_ACCESS, f"Unauthorized access to '{path}': the request's token does not give it."
        ) from None
