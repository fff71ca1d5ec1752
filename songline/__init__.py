"""The public names with which a service publishes events. The sub-packages hold the command and the workers.

    from songline import Event, EventPublisher, SongPlayed, read_eventhubs

    async with EventPublisher(read_eventhubs(os.environ)) as publisher:
        await publisher.publish(Event(id=…, source=…, time=…, data=SongPlayed(…)))

A name is imported when it is first used, so that the command starts without the SDK of Event Hubs.
docs/publishing.md lists the guarantees.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from songline.cloud.settings import EventHubsSettings, SettingError, read_eventhubs
    from songline.producers.publishing.errors import (
        AccessDeniedError,
        OutboxFullError,
        OutboxLockedError,
        TransientError,
    )
    from songline.producers.publishing.publisher import EventPublisher, Statistics
    from songline.producers.publishing.state import Outcome
    from songline.schemas.envelope import Event
    from songline.schemas.errors import ContractViolationError, Violation
    from songline.schemas.events import (
        ImportUndone,
        ListenImported,
        NameMatched,
        NameUnmatched,
        Payload,
        SongLiked,
        SongPlayed,
        SongRemoved,
        SongUnliked,
        SongUploaded,
    )

__all__ = [
    "AccessDeniedError",
    "ContractViolationError",
    "Event",
    "EventHubsSettings",
    "EventPublisher",
    "ImportUndone",
    "ListenImported",
    "NameMatched",
    "NameUnmatched",
    "OutboxFullError",
    "OutboxLockedError",
    "Outcome",
    "Payload",
    "SettingError",
    "SongLiked",
    "SongPlayed",
    "SongRemoved",
    "SongUnliked",
    "SongUploaded",
    "Statistics",
    "TransientError",
    "Violation",
    "read_eventhubs",
]

_MODULES = {
    "cloud.settings": ("EventHubsSettings", "SettingError", "read_eventhubs"),
    "producers.publishing.errors": ("AccessDeniedError", "OutboxFullError", "OutboxLockedError", "TransientError"),
    "producers.publishing.publisher": ("EventPublisher", "Statistics"),
    "producers.publishing.state": ("Outcome",),
    "schemas.envelope": ("Event",),
    "schemas.errors": ("ContractViolationError", "Violation"),
    "schemas.events": (
        "ImportUndone",
        "ListenImported",
        "NameMatched",
        "NameUnmatched",
        "NameMatched",
        "NameUnmatched",
        "Payload",
        "SongLiked",
        "SongPlayed",
        "SongRemoved",
        "SongUnliked",
        "SongUploaded",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """PEP 562: import a public name when it is first used."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
