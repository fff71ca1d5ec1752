"""What is noted of a request that is refused or fails, to be counted: for what, and of what kind of caller, without a
name."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

NOTE = "refusal"
"""Where the ASGI state of a request has its RefusalNote."""
NOBODY, LISTENER, SERVICE = "nobody", "listener", "service"
CROSS_SITE, ADDRESS, CSRF = "cross-site", "address", "csrf"
ANOTHERS, REQUESTS, STREAMS = "another-listener", "too-many-requests", "too-many-streams"
UPLOAD_BYTES = "too-many-bytes"
FAULT = "internal-error"
"""Reasons beside those for which a token is refused."""


class RefusalNote(Struct):
    """The `operation` as method and path template, "" where there is none; the kind of `caller`; and the `reason`, ""
    as long as nothing is refused."""

    operation: str = ""
    caller: str = NOBODY
    reason: str = ""


def note_of(scope: Mapping[str, Any]) -> RefusalNote:
    """The note in a request's ASGI scope; one that nobody reads where nothing counts."""
    found: RefusalNote | None = scope.get("state", {}).get(NOTE)
    return RefusalNote() if found is None else found
