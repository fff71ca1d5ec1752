"""Wait on a condition, with a deadline: as localcloud's own tests do, and with an eye on the processes of the test."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from localcloud.testing import waiting
from localcloud.testing.waiting import has_ended, listens
from tests.support import watched

__all__ = ["has_ended", "listens", "wait_for", "wait_for_async"]

T = TypeVar("T")


def wait_for(probe: Callable[[], T], what: str, deadline: float = 60.0) -> T:
    """The first truthy answer of `probe`.

    Fails after `deadline` seconds, or as soon as a worker has ended by itself, with what was waited for and the
    workers' last lines.
    """

    def checked() -> T:
        if not (answer := probe()):
            watched.check()
        return answer

    try:
        return waiting.wait_for(checked, what, deadline)
    except AssertionError as error:
        _add_last_words(error, what)
        raise


async def wait_for_async(probe: Callable[[], Awaitable[T]], what: str, deadline: float = 60.0) -> T:
    """`wait_for` of an awaitable probe."""

    async def checked() -> T:
        if not (answer := await probe()):
            watched.check()
        return answer

    try:
        return await waiting.wait_for_async(checked, what, deadline)
    except AssertionError as error:
        _add_last_words(error, what)
        raise


def _add_last_words(error: AssertionError, what: str) -> None:
    error.add_note(f"while it waited for {what}\n{watched.last_words()}")
