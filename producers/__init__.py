"""Everything that puts facts and commands in. A name is imported when it is first used: see `songline`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from songline.producers.publishing.errors import OutboxFullError, OutboxLockedError
    from songline.producers.publishing.publisher import EventPublisher

__all__ = ["EventPublisher", "OutboxFullError", "OutboxLockedError"]

_MODULE_OF = {"EventPublisher": "publisher", "OutboxFullError": "errors", "OutboxLockedError": "errors"}


def __getattr__(name: str) -> Any:
    """PEP 562: import a public name when it is first used."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.publishing.{module}"), name)
