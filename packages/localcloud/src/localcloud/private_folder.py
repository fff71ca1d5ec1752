"""A data folder that no other user of this machine can read."""

import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

OWNER_ONLY = 0o077
"""The umask under which files are 0600 and folders 0700."""


class ForeignFileError(Exception):
    """A file or a folder is not this user's alone. The message names it and says what to do."""


def keep_private(data: Path, names: Iterable[str]) -> None:
    """Make the folder `data`, or take the rights of others from it, and from what `names` in it hold.

    Symbolic links inside are not followed. Raises ForeignFileError where something belongs to another user, or the
    folder is one that users share; OSError.
    """
    if not data.exists():
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if data.is_symlink():
        _check_owner(data, data.lstat())
    found = data.stat()
    _check_owner(data, found)
    if found.st_mode & stat.S_ISVTX:
        raise ForeignFileError(
            f"{data} is a folder that users share (sticky); expected one of yours: name a folder in it"
        )
    data.chmod(0o700)
    for name in names:
        for path, state in _tree(data / name):
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
        raise ForeignFileError(
            f"{path} belongs to {_user(state.st_uid)}, who can read and change it; expected {_user(os.geteuid())}, who "
            "runs this: choose another folder, or change its owner (chown -R)"
        )


def _user(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user {uid}"
