"""A look that is repeated while a context lasts, so that a running process knows what others have said meanwhile."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError

log = logging.getLogger(__name__)


@asynccontextmanager
async def looking(look: Callable[[], Awaitable[None]], pause_s: float, what: str) -> AsyncIterator[None]:
    """Call `look` every `pause_s` seconds; the first time is the caller's. What is known stays known while it fails.

    `what` stands in front of "can't be read" in a log.
    """
    running = asyncio.create_task(_look(look, pause_s, what))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait((running,))


async def _look(look: Callable[[], Awaitable[None]], pause_s: float, what: str) -> None:
    while True:
        await asyncio.sleep(pause_s)
        try:
            await look()
        except (AzureError, EventHubError) as error:
            log.info("%s can't be read: %s", what, error)
        except Exception:
            # An end of this task would leave the process without what is said from now on.
            log.exception("%s can't be read", what)
