"""The lock that admits one system at a time to a data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataFolderLockedError(Exception):
    """Another process holds the folder. The operator ends that process or chooses another folder."""


@contextmanager
def holding(data: Path) -> Iterator[None]:
    """Hold the folder while the context lasts. The lock also ends when its process is killed.

    Raises DataFolderLockedError, which names the process that holds it.
    """
    with (data / "up.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise DataFolderLockedError(
                f"`songline up` runs on {data} already (process {file.read().strip()}): "
                "stop that one, or choose another folder with --data"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
