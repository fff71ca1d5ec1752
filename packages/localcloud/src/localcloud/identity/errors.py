"""What the issuer answers to a request that it refuses."""

import re

# RFC 6749, section 5.2: printable ASCII without the quotation mark and the backslash.
_NOT_ALLOWED = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
MAX_SEEN = 100


class OAuthError(Exception):
    """A request is refused: `code` is the error of RFC 6749, `description` is for developers and holds no secret."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        self.code = code
        self.description = _NOT_ALLOWED.sub("?", description)
        self.status = status
        super().__init__(f"{code}: {self.description}")


class UnknownReturnError(Exception):
    """An authorization request names no client, or no address of this client, to which a browser could be sent back."""


class IdentityStateError(Exception):
    """A file of the issuer can't be used. The message names it, and what to do."""


def seen(text: str | None) -> str:
    """A value of a request for a description, cut; for values that are no secrets."""
    return "nothing" if not text else f"'{text[:MAX_SEEN]}'"
