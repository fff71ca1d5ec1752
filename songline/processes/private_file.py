"""Files that only their owner may read, and that are there as a whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_private(file: Path, content: bytes) -> Path:
    """Write `file` in place of an older one, and return it. Raises OSError."""
    with private_draft(file, content) as draft:
        return draft.replace(file)


@contextmanager
def private_draft(file: Path, content: bytes) -> Iterator[Path]:
    """A file beside `file` that holds `content` durably, until the end of the block or until it is moved. Raises
    OSError."""
    # Two containers that share a volume may have one process id.
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
