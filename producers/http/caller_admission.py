"""What handlers that find out by themselves who calls ask of the limits of callers.

Where nothing limits callers, as in a test of a handler alone, nothing is counted.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from songline.schemas.permission import CALLER

ADMISSION, GUESS = "admission", "guess"
"""Where the ASGI state of a request has what counts it against its caller, and a token against its address."""

Count: TypeAlias = Callable[[], None]
"""Raises RequestDeclinedError (429)."""


def admit(scope: Mapping[str, Any], caller: Any) -> None:
    """Count the request with this ASGI scope against its `caller`, who is known now. Raises RequestDeclinedError."""
    state = scope.get("state", {})
    if (count := state.get(ADMISSION)) is not None:
        state[CALLER] = caller
        count()


def guess_of(scope: Mapping[str, Any]) -> Count:
    """Counts a token that has to be looked up: guesses of one address must not cost the store without end."""
    found: Count = scope.get("state", {}).get(GUESS, _uncounted)
    return found


def _uncounted() -> None:
    return None
