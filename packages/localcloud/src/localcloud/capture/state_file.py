"""`capture.json`: what a partition's folder keeps of its Capture.

A file is planned here before it is written, and planned files stay for a while after: whoever starts after a crash
writes those that are missing again, with the same events.
"""

from pathlib import Path
from typing import Final

import msgspec

from localcloud.log.state_file import read_state, write_state

FILE: Final = "capture.json"
_MEND: Final = "remove it, and the hub is captured once more from its first event on"


class PlannedFile(msgspec.Struct, frozen=True):
    """A file of the events at `first` up to before `end`, or fewer: it ends with the batch that brings its batches to
    `size_limit_bytes`.

    Its window goes from `start_s` until before `end_s` (Unix seconds); `early`: its size ended it. `written_ms` is when
    Blob Storage had the file (Unix ms), None before.
    """

    container: str
    name: str
    first: int
    end: int
    size_limit_bytes: int
    codec: str
    start_s: int
    end_s: int
    early: bool = False
    written_ms: int | None = None


class CaptureState(msgspec.Struct, frozen=True):
    """`position` is the first event that no file of `files` and none before has. The next window starts at `start_s`
    (Unix seconds) or at a whole number of intervals after it."""

    position: int = 0
    start_s: int | None = None
    files: tuple[PlannedFile, ...] = ()

    @property
    def needed_from(self) -> int:
        """The first event that a file may still have to be written with."""
        return min((file.first for file in self.files), default=self.position)


def load_state(folder: Path) -> CaptureState | None:
    """What the folder holds; None before the first window. Raises LogOpenError."""
    try:
        return read_state(folder / FILE, CaptureState, _MEND)
    except FileNotFoundError:
        return None


def save_state(folder: Path, state: CaptureState) -> None:
    """Put this in place of what the folder holds, durably, the whole or nothing. Raises OSError."""
    write_state(folder / FILE, state)
