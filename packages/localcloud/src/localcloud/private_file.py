"""Files that only their owner may read."""

import os
from pathlib import Path

from localcloud.log.segment_files import sync_folder


def write_private(path: Path, data: bytes) -> None:
    """Write a file atomically and durably, readable by its owner only. Raises OSError."""
    # The dot keeps it apart from every file that a client's name may have.
    draft = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def private_folder(path: Path) -> None:
    """Make a folder that only its owner may enter, or take that right from others where it is there. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
