"""The processes that a test has started: what waits for their work fails with them, and says what they said last."""

from pathlib import Path
from typing import Protocol

LINES = 15


class Watched(Protocol):
    log: Path

    @property
    def said(self) -> str: ...

    @property
    def has_failed(self) -> bool: ...


_running: list[Watched] = []


def begin(process: Watched) -> None:
    """It runs, until `end`."""
    end(process)
    _running.append(process)


def end(process: Watched) -> None:
    """It is ended, or was never begun."""
    _running[:] = [one for one in _running if one is not process]


def check() -> None:
    """Raises AssertionError with its last words when a process has ended that nobody expects to."""
    if any(one.has_failed for one in _running):
        raise AssertionError(f"a process has ended by itself\n{last_words()}")


def last_words() -> str:
    """The last lines of each running process."""
    return "\n".join(
        f"{one.log.name}{' (it has ended)' if one.has_failed else ''}:\n"
        + "\n".join(f"    {line}" for line in one.said.splitlines()[-LINES:])
        for one in _running
    )
