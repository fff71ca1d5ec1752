"""How clients sign in over SASL, as Event Hubs has it.

PLAIN (RFC 4616): the user is `$ConnectionString`, the password a connection string. OAUTHBEARER (RFC 7628): a token of
Entra for the namespace.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from localcloud.entra.access import NamespaceAccess
from localcloud.sas import CredentialError, Keys, MalformedTokenError, Right, all_rights

PLAIN: Final = "PLAIN"
OAUTHBEARER: Final = "OAUTHBEARER"
MECHANISMS: Final = (PLAIN, OAUTHBEARER)
USER: Final = "$ConnectionString"

_BEARER: Final = "auth=Bearer "


class SignedIn(NamedTuple):
    """What a credential opens: one hub (None: all of the namespace), by which rights there, until when (Unix s)."""

    entity: str | None
    rights_at: Callable[[str], frozenset[Right]] = all_rights
    expires_s: float | None = None


def authenticate(keys: Keys, mechanism: str, message: bytes, now_s: float) -> SignedIn:
    """What the credential in `message` opens. Raises one of the kinds of CredentialError."""
    return _by_token(keys, message, now_s) if mechanism == OAUTHBEARER else _by_key(keys, message)


def _by_key(keys: Keys, message: bytes) -> SignedIn:
    try:
        _, user, password = message.decode().split("\0")
    except ValueError:
        raise MalformedTokenError("The message is not `authorization id NUL user NUL password` in UTF-8.") from None
    if user != USER:
        raise CredentialError(f"The user is {user[:40]!r}; Event Hubs expects {USER!r}.")
    grant = keys.check_connection_string(password)
    return SignedIn(grant.scope or None, grant.rights_at)


def _by_token(keys: Keys, message: bytes, now_s: float) -> SignedIn:
    fields = message.decode("utf-8", "replace").split("\1")
    token = next((field.removeprefix(_BEARER) for field in fields if field.startswith(_BEARER)), None)
    if token is None or not fields[0].startswith("n,"):
        raise MalformedTokenError("The message is not `n,,^Aauth=Bearer TOKEN^A^A`.")
    if not isinstance(keys, NamespaceAccess):
        raise CredentialError("Tokens of Entra are not taken here.")
    grant = keys.check_bearer(token, now_s)
    return SignedIn(None, grant.rights_at, grant.expires)
