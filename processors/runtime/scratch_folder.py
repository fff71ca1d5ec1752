"""The folder of an ingestion worker for files on their way, in the machine's folder for temporary files.

A worker that is killed can't delete it: the next one does.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from songline.cloud.settings import SettingError

PREFIX = "songline-ingestion-"
LONGEST = 75
"""Bytes of the path of the machine's folder for temporary files: names of sockets that multiprocessing makes in it have
32 more, and 107 in all."""

LOCK = "lock"
"""The file that a living worker has locked."""


def check_temporary_folder(environ: Mapping[str, str]) -> None:
    """Raise SettingError where no file could be read, because its reader's socket has no room for its name."""
    folder = environ.get("TMPDIR", "")
    if len(os.fsencode(folder)) > LONGEST:
        raise SettingError("TMPDIR", repr(folder), f"a path of at most {LONGEST} bytes: sockets are made in it")


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder of this worker's own in `parent`, deleted at the end. Those of workers that are gone are deleted before.

    Raises OSError.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    for left in parent.glob(f"{PREFIX}*"):
        _delete_if_left(left)
    # Under another name until it is locked: a worker that starts now would take it for one that was left.
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    folder = made.with_name(made.name.removeprefix("."))
    with (made / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made.rename(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _delete_if_left(folder: Path) -> None:
    """Delete a folder of this user's whose worker is gone. One without a lock is another program's, and stays."""
    with suppress(OSError):
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
            return
        with (folder / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
