"""The name under which a caller is counted, for what bounds how much one caller may have at a time."""

from collections.abc import Mapping
from typing import Any

NAME = "caller_name"
"""Where the ASGI state of a request has it."""


def caller_name(scope: Mapping[str, Any]) -> str | None:
    """The caller of a request with this ASGI scope; None for one that has no such bound, as services have none."""
    found: str | None = scope.get("state", {}).get(NAME)
    return found
