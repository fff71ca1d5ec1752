"""The errors of the log."""

from pathlib import Path

from localcloud.disk import is_full, reason

_SHOWN_CHARACTERS = 100
"""Of a name that a client sent: messages go back to clients, in fields that can't hold everything."""


class LogError(Exception):
    """The log refuses an operation, or fails at it."""


class UnknownHubError(LogError):
    """The caller named a hub that this namespace doesn't have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no event hub named {name[:_SHOWN_CHARACTERS]!r} in this namespace.")
        self.name = name


class HubExistsError(LogError):
    """The caller asked for a hub that is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"An event hub named {name[:_SHOWN_CHARACTERS]!r} exists already.")
        self.name = name


class InvalidHubNameError(LogError):
    """The caller's hub name breaks the naming rule of Event Hubs."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name[:_SHOWN_CHARACTERS]!r} is no name for an event hub: expected 1 to 256 letters, digits, '.', '-' "
            "and '_', beginning and ending with a letter, a digit or '_'."
        )


class PartitionCountError(LogError):
    """The caller asked for a number of partitions that a hub can't go to: it only ever grows."""


class InvalidBatchError(LogError):
    """The caller's bytes are not one intact record batch of format 2."""


class InvalidOffsetError(LogError):
    """The caller's offset lies outside of what the partition holds."""

    def __init__(self, offset: int, start: int, end: int) -> None:
        super().__init__(f"Offset {offset} is outside of the partition, which holds {start} to {end}.")
        self.offset = offset


class DamagedLogError(LogError):
    """A file no longer holds what was written to it. The message names the file and the place, and what to do."""

    def __init__(self, path: Path, position: int, next_offset: int, fault: str) -> None:
        super().__init__(
            f"{path} is damaged at byte {position} (offset {next_offset}): {fault}. What was acknowledged can't be "
            f"read there. Restore the file, or move the hub's folder {path.parent.parent} away to begin anew."
        )


class AppendError(LogError):
    """The disk refused: nothing of the append is kept. The client may retry when there is room."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"Could not write {path.name}: {reason(cause)}. Nothing of it was kept.")
        self.disk_full = is_full(cause)


class LogClosedError(LogError):
    """The log is shutting down; the client tries again after the restart."""


class LogOpenError(LogError):
    """The folder can't be opened as it is. The message says what to do."""
