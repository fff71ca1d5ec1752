"""The folder among the user's caches in which localcloud keeps what takes long to make."""

import os
import tempfile
from pathlib import Path


def folder() -> Path:
    """`$XDG_CACHE_HOME/localcloud`, `~/.cache/localcloud`, or a temporary folder of a user without a home."""
    named = os.environ.get("XDG_CACHE_HOME")
    if named:
        return Path(named) / "localcloud"
    try:
        return Path.home() / ".cache" / "localcloud"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"localcloud-{os.getuid()}"
