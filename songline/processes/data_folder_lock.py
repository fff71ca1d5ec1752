"""One system on a data folder at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataFolderLockedError(Exception):
    """Another process has the folder. The operator ends that one or chooses another folder."""


@contextmanager
def holding(data: Path) -> Iterator[None]:
    """Hold the folder while the context lasts; the lock ends with its process, however that ends.

    Raises DataFolderLockedError, which names the process that has it.
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
