"""What an issuer answers when it gives no token."""

from msgspec import Struct

from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError


class GrantRefusal(Struct, frozen=True):
    """The error of RFC 6749, section 5.2."""

    error: str
    error_description: str = ""


_refusals = Decoder(GrantRefusal, "not-an-answer")


def read_refusal(body: bytes) -> GrantRefusal | None:
    """The error in the body of an answer; None where there is none."""
    try:
        return _refusals.decode(body)
    except PoisonError:
        return None
