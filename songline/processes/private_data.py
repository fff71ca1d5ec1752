"""The data folder of `songline up`, which no other user of this machine can read.

localcloud keeps its own folders in there in the same way; it is a distribution of its own.
"""

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from songline.processes.cloud_keys import FILE as KEYS

OWNER_ONLY = 0o077
"""The umask under which files are 0600 and folders 0700."""


@contextmanager
def owner_only() -> Iterator[None]:
    """What this process makes until the end of the block is its user's alone, also in a folder that others may read."""
    before = os.umask(OWNER_ONLY)
    try:
        yield
    finally:
        os.umask(before)


OURS = (
    "logs",
    "owners",
    "outbox.db*",
    "page-client.*",
    "session.*",
    "uploads.*",
    "songline.*",
    "token.*",
    "up.lock",
    KEYS,
    "managed-identities.*",
)
"""Patterns of what `up`, its processes and commands make in the data folder, besides localcloud."""


class ForeignDataError(Exception):
    """The data folder, or a file in it, is not this user's alone. The message names it and says what to do."""


def keep_private(data: Path) -> None:
    """Make the folder `data`, or take the rights of other users from it and from what we have made in it.

    Symbolic links inside are not followed. Raises ForeignDataError where something belongs to another user, or the
    folder is one that users share; OSError.
    """
    if not data.exists():
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if data.is_symlink():
        _check_owner(data, data.lstat())
    found = data.stat()
    _check_owner(data, found)
    if found.st_mode & stat.S_ISVTX:
        raise ForeignDataError(f"{data} is a folder that users share (sticky); expected one of yours: name one in it")
    data.chmod(0o700)
    for pattern in OURS:
        for top in sorted(data.glob(pattern)):
            for path, state in _tree(top):
                _check_owner(path, state)
                if state.st_mode & OWNER_ONLY and not stat.S_ISLNK(state.st_mode):
                    with suppress(FileNotFoundError):
                        path.chmod(stat.S_IMODE(state.st_mode) & ~OWNER_ONLY)


def _tree(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """A file or a folder, with all that is below it. What goes meanwhile is left out."""
    try:
        state = path.lstat()
    except FileNotFoundError:
        return
    yield path, state
    if stat.S_ISDIR(state.st_mode):
        for child in sorted(path.iterdir()):
            yield from _tree(child)


def _check_owner(path: Path, state: os.stat_result) -> None:
    if state.st_uid != os.geteuid():
        raise ForeignDataError(
            f"{path} belongs to {_user(state.st_uid)}, who can read and change it; expected {_user(os.geteuid())}, who "
            "runs this: choose another folder with --data, or change its owner (chown -R)"
        )


def _user(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user {uid}"
