"""SASL PLAIN (RFC 4616) as Event Hubs uses it: the user is `$ConnectionString`, the password a connection string."""

from localcloud.sas import CredentialError, Keys

MECHANISM = "PLAIN"
USER = "$ConnectionString"


def authenticate(keys: Keys, message: bytes) -> str | None:
    """The hub that the credential is limited to, None for the whole namespace. Raises `Unauthorized`."""
    try:
        _, user, password = message.decode().split("\0")
    except ValueError:
        raise CredentialError("The message is not `authorization id NUL user NUL password` in UTF-8.") from None
    if user != USER:
        raise CredentialError(f"The user is {user[:40]!r}; Event Hubs expects {USER!r}.")
    return keys.check_connection_string(password)
