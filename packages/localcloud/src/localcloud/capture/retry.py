"""Tries again until it is done, however long Blob Storage or the disk refuse."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from localcloud.log.errors import DamagedLogError

log = logging.getLogger("localcloud.capture")

PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
T = TypeVar("T")


async def retry_until_done(action: Callable[[], Awaitable[T]], what: str) -> T:
    """What `action` returns in the end; one line when it begins to fail, and one when it has worked again."""
    from azure.core.exceptions import AzureError

    failures, since = 0, time.monotonic()
    while True:
        try:
            done = await action()
        except (AzureError, DamagedLogError, OSError) as error:
            if failures == 0:
                reason = str(error).partition("\n")[0]
                log.error("%s can't be captured (%s); it is tried again, and the hub keeps its events", what, reason)
            await asyncio.sleep(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
            failures += 1
            continue
        if failures:
            log.warning("%s: captured after %d failures in %.0f s", what, failures, time.monotonic() - since)
        return done
