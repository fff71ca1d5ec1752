"""What the events of a batch cost their sender: each counts as a request does."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

CHARGE = "charge"
"""Where the ASGI state of a request has its Charge."""

Charge: TypeAlias = Callable[[int], None]
"""Counts so many requests of the caller beside the one that is under way. Raises RequestDeclinedError (429)."""


def charge_events(scope: Mapping[str, Any], events: int) -> None:
    """Count the `events` of a request with this ASGI scope, where a limit counts. Raises RequestDeclinedError."""
    charge: Charge | None = scope.get("state", {}).get(CHARGE)
    if charge is not None and events > 1:
        charge(events - 1)
