"""The id of the listener whom a token is about."""

import re
from hashlib import sha256

from songline.schemas.forgotten import is_forgotten
from songline.schemas.types import ID_PATTERN

PREFIX = "sub:"
DIGITS = 32

_ID = re.compile(ID_PATTERN)


def listener_id(subject: str) -> str:
    """The id of the listener whom the issuer calls `subject`: the subject itself where it keeps the rule of ids.

    Other subjects, such as `auth0|7`, are known by `sub:` and the first 32 hexadecimal digits of their SHA-256 (UTF-8).
    So are those that begin with `sub:`, or that look like the name of a forgotten listener: no two subjects share an
    id, also where users choose their own.
    """
    if _ID.search(subject) is not None and not subject.startswith(PREFIX) and not is_forgotten(subject):
        return subject
    return PREFIX + sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
