"""The folder of a process for files on their way, in the machine's folder for temporary files.

A process that is killed can't delete it: the next one of its kind does.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.process import current_process
from pathlib import Path
from typing import Any

from songline.cloud.settings import SettingError

LONGEST = 75
"""Bytes of the path of the machine's folder for temporary files: names of sockets that multiprocessing makes in it have
32 more, and 107 in all."""

LONGEST_SCRATCH = 89
"""Bytes of the path of a folder in which sockets are made themselves: multiprocessing makes no folder of its own."""

LOCK = "lock"
"""The file that a living process has locked."""


def check_temporary_folder(environ: Mapping[str, str]) -> None:
    """Raise SettingError where no file could be read, because its reader's socket has no room for its name."""
    folder = environ.get("TMPDIR", "")
    if len(os.fsencode(folder)) > LONGEST:
        raise SettingError("TMPDIR", repr(folder), f"a path of at most {LONGEST} bytes: sockets are made in it")


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder of this process's own in `parent`, deleted at the end. Those with this `prefix` of processes that are
    gone are deleted before.

    Raises OSError.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    for left in parent.glob(f"{prefix}*"):
        _delete_if_left(left)
    # Under another name until it is locked: a process that starts now would take it for one that was left.
    made = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=parent))
    folder = made.with_name(made.name.removeprefix("."))
    with (made / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made.rename(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def keep_sockets_in(folder: Path) -> None:
    """Let multiprocessing make its sockets in `folder`, where there is room for their names.

    It makes a folder for them otherwise, which a killed process leaves behind. To be called before the first process.
    """
    if len(os.fsencode(folder)) <= LONGEST_SCRATCH:
        process: Any = current_process()
        process._config["tempdir"] = str(folder)


def _delete_if_left(folder: Path) -> None:
    """Delete a folder of this user's whose process is gone. One without a lock is another program's, and stays."""
    with suppress(OSError):
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
            return
        with (folder / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
