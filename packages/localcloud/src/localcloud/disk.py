"""A disk that refuses writes: how writers are told, and how little is logged about it."""

import errno
import logging
import sqlite3
import time
from collections.abc import Callable

log = logging.getLogger("localcloud.disk")

QUIET_S = 5.0
"""A disk that is nearly full takes small writes and refuses big ones: it is well when it refused none for so long."""


def is_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def reason(error: OSError | sqlite3.Error) -> str:
    """What a writer is told."""
    if is_full(error):
        return "the disk is full"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


class Refusals:
    """What the disk refuses one service. One line when that begins, and one when the disk takes writes again."""

    def __init__(self, service: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._now_s = now_s
        self._since_s: float | None = None
        self._last_s = 0.0
        self._count = 0

    def refused(self, error: OSError | sqlite3.Error, what: object) -> None:
        self._last_s = self._now_s()
        self._count += 1
        if self._since_s is None:
            self._since_s, self._count = self._last_s, 1
            log.error(
                "%s can't write %s: %s. Nothing of it was kept. Writers get an error until this is mended; localcloud "
                "goes on then by itself.", self._service, what, reason(error),
            )  # fmt: skip

    def accepted(self) -> None:
        if self._since_s is not None and self._now_s() - self._last_s >= QUIET_S:
            seconds = self._now_s() - self._since_s
            self._since_s = None
            log.warning("%s: the disk takes writes again, after %.0f s and %d refusals.", self._service, seconds,
                        self._count)  # fmt: skip
