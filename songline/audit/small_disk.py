"""A disk of an audit's own, which it can fill: a tmpfs. Mounting one takes the right to (root, on Linux)."""

import os
import subprocess
from pathlib import Path
from shutil import which

SIZE_BYTES = 2 << 30
_STEP = 64 << 10


class DiskUnavailableError(Exception):
    """No disk of its own can be mounted here; the message says why. The audit goes on without full disks."""


class SmallDisk:
    """A tmpfs at `folder`. `fill` leaves no room for anything new, `make_room` gives all of it back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mount(self) -> None:
        """Mount it. Raises DiskUnavailableError."""
        if which("mount") is None:
            raise DiskUnavailableError("there is no command `mount`")
        done = _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES},mode=0700", "tmpfs", str(self._folder))
        if done.returncode:
            raise DiskUnavailableError(done.stderr.strip())

    def fill(self) -> None:
        """Make the disk as small as what it holds. Raises DiskUnavailableError."""
        for spare in range(1, 20):
            used = os.statvfs(self._folder)
            bytes_used = (used.f_blocks - used.f_bfree) * used.f_frsize
            done = _run("mount", "-o", f"remount,size={bytes_used + spare * _STEP}", str(self._folder))
            if not done.returncode:
                return
        raise DiskUnavailableError(done.stderr.strip())

    def make_room(self) -> None:
        """Give the disk its size again."""
        _run("mount", "-o", f"remount,size={SIZE_BYTES}", str(self._folder))

    def unmount(self) -> None:
        """Unmount it, with all that it holds."""
        _run("umount", "--lazy", str(self._folder))


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - mount and umount
