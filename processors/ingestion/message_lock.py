"""The lock of a message, renewed for as long as the message is being handled.

The SDK's AutoLockRenewer stops silently after a given time, stops at the first error, and uses the local clock. This
module uses the broker's answers and the monotonic clock.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Self, TypeAlias

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    MessageNotFoundError,
)

from songline.processors.runtime.recent import RECENT, is_recent

logger = logging.getLogger("ingestion.lock")

# The broker's errors when another receiver may have the message.
_LOST = (MessageLockLostError, MessageNotFoundError, MessageAlreadySettled)
# A receiver that was closed by an error raises ValueError from then on.
BROKER_ERRORS = (AzureError, ValueError, OSError)
RENEWALS = 3
PAUSE_S = 0.5

Settlement: TypeAlias = Callable[[ServiceBusReceiver, ServiceBusReceivedMessage], Awaitable[None]]


class MessageLock:
    """Renews the lock of `message` while the block lasts. Calls `on_lost` once if another receiver may have it.

    `receiver` received the message; `open_receiver` opens another if that one fails. `lock_s` is the duration of the
    lock from now on, in seconds. The SDK counts the lock as held if it is renewed within `renewed_within_s` seconds.
    `steady` returns monotonic seconds, `now` aware times.
    """

    def __init__(
        self,
        receiver: ServiceBusReceiver,
        open_receiver: Callable[[], ServiceBusReceiver],
        message: ServiceBusReceivedMessage,
        lock_s: float,
        renewed_within_s: float,
        on_lost: Callable[[], None],
        steady: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._receiver = receiver
        self._open_receiver = open_receiver
        self._message = message
        self._lock_s = lock_s
        self._every_s = renewed_within_s / RENEWALS
        self._on_lost = on_lost
        self._steady = steady
        self._now = now
        self._held_at: datetime | None = None
        self._ends_s = steady() + lock_s
        # The SDK's receivers don't support concurrent use.
        self._in_use = asyncio.Lock()
        self._ended = asyncio.Event()
        self._opened = AsyncExitStack()
        self.is_lost = False

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._ended.set()
        # Not cancelled: the SDK would take a late answer for that of the next request.
        await asyncio.gather(self._keeping, return_exceptions=True)
        with suppress(*BROKER_ERRORS):
            await self._opened.aclose()

    async def renew(self) -> bool:
        """Renew the lock; return whether it is held. Without an answer it counts as held until it must have expired."""
        async with self._in_use:
            sent_s, asked = self._steady(), self._now()
            try:
                async with asyncio.timeout(max(0.0, self._ends_s - sent_s)):
                    await self._receiver.renew_message_lock(self._message)
                self._ends_s, self._held_at = sent_s + self._lock_s, asked
            except _LOST as error:
                self._lose(str(error))
            except BROKER_ERRORS as error:
                await self._missed(error)
        return not self.is_lost

    async def check(self) -> None:
        """Return where the broker has just said that the lock is held. Raises MessageLockLostError.

        The process may have been stopped for longer than the lock: another worker may have carried the command out.
        """
        while not self._is_sure:
            if not await self.renew():
                raise MessageLockLostError(message=f"the lock of {self._message.message_id} was lost")
            if not self._is_sure:
                await asyncio.sleep(PAUSE_S)

    @property
    def _is_sure(self) -> bool:
        return self._held_at is not None and is_recent(self._held_at, self._now(), RECENT)

    async def settle(self, how: Settlement) -> None:
        """Settle the message. Raises BROKER_ERRORS; MessageLockLostError may come from the local clock only."""
        async with self._in_use:
            await how(self._receiver, self._message)

    async def _missed(self, error: Exception) -> None:
        """Handle a renewal without an answer: open another receiver for the next one while the lock may last."""
        if self._steady() >= self._ends_s:
            self._lose(f"the broker did not renew it before it ended: {error}")
            return
        logger.warning("the lock of %s was not renewed: %s", self._message.message_id, error)
        with suppress(*BROKER_ERRORS):
            await self._opened.aclose()
        with suppress(*BROKER_ERRORS):
            async with asyncio.timeout(max(0.0, self._ends_s - self._steady())):
                self._receiver = await self._opened.enter_async_context(self._open_receiver())

    def _lose(self, why: str) -> None:
        if not self.is_lost:
            self.is_lost = True
            logger.warning("the lock of %s was lost: %s", self._message.message_id, why)
            self._on_lost()

    async def _keep(self) -> None:
        pause_s = self._every_s
        while not self.is_lost and not await self._is_ended(pause_s):
            before_s = self._ends_s
            await self.renew()
            pause_s = self._every_s if self._ends_s > before_s else min(PAUSE_S, self._every_s)

    async def _is_ended(self, pause_s: float) -> bool:
        try:
            await asyncio.wait_for(self._ended.wait(), pause_s)
        except TimeoutError:
            return False
        return True
