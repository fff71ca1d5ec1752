"""Files that only their owner may read."""

import os
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Write a file atomically and durably, readable by its owner only. Raises OSError."""
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def private_folder(path: Path) -> None:
    """Make a folder that only its owner may enter, or take that right from others where it is there. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
