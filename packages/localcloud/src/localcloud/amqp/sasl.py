"""SASL authentication of clients (part 5, section 5.3)."""

from typing import Final

from localcloud.amqp.types import Array, Symbol
from localcloud.sas import Grant, Keys, MalformedTokenError

# With all but PLAIN a client has no rights until it puts a token.
ANONYMOUS: Final = frozenset({"ANONYMOUS", "EXTERNAL", "MSSBCBS"})
MECHANISMS: Final = Array(tuple(map(Symbol, ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"))))
OK: Final = 0
AUTH_FAILED: Final = 1


def authenticate(mechanism: str, response: bytes, keys: Keys) -> Grant | None:
    """The rights that come with the SASL exchange itself; None when there are none yet.

    PLAIN (RFC 4616) is NUL-separated: authorization id, key name, key. Raises one of the kinds of CredentialError.
    """
    if mechanism in ANONYMOUS:
        return None
    if mechanism != "PLAIN":
        raise MalformedTokenError(f"the mechanism {mechanism!r} is none that we offer")
    parts = response.split(b"\0")
    if len(parts) != 3:
        raise MalformedTokenError("a PLAIN response has three parts")
    name, secret = (part.decode(errors="replace") for part in parts[1:])
    return keys.check_secret(name, secret)
