"""The lock of a message in hand, renewed for as long as it is in hand.

The SDK's AutoLockRenewer renews for a given time and then ends in silence, ends at the first error, and judges by the
local clock. This one goes by the broker's answers and by the steady clock.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Self, TypeAlias

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    MessageNotFoundError,
)

logger = logging.getLogger("ingestion.lock")

# What the broker says when somebody else may have the message.
_LOST = (MessageLockLostError, MessageNotFoundError, MessageAlreadySettled)
# A receiver that was closed by an error raises ValueError from then on.
BROKER_ERRORS = (AzureError, ValueError, OSError)
RENEWALS = 3
PAUSE_S = 0.5

Settlement: TypeAlias = Callable[[ServiceBusReceiver, ServiceBusReceivedMessage], Awaitable[None]]


class MessageLock:
    """Renews the lock of `message` while the block lasts; `on_lost` is called once if somebody else may have it.

    `receiver` is the one that received it, `open_receiver` gives another where that one has failed. `lock_s`: how long
    the lock lasts from now on. `renewed_within_s`: how soon it must be renewed for the SDK to count it as held.
    `steady` gives seconds.
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
    ) -> None:
        self._receiver = receiver
        self._open_receiver = open_receiver
        self._message = message
        self._lock_s = lock_s
        self._every_s = renewed_within_s / RENEWALS
        self._on_lost = on_lost
        self._steady = steady
        self._ends_s = steady() + lock_s
        # The SDK's receivers are not made for several coroutines.
        self._in_use = asyncio.Lock()
        self._ended = asyncio.Event()
        self._opened = AsyncExitStack()
        self.is_lost = False

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._ended.set()
        # Not cancelled: an answer that nobody waits for would be taken for that of the next request.
        await asyncio.gather(self._keeping, return_exceptions=True)
        with suppress(*BROKER_ERRORS):
            await self._opened.aclose()

    async def renew(self) -> bool:
        """Whether the lock is ours. A broker that does not answer leaves it ours until it must have run out."""
        async with self._in_use:
            asked_s = self._steady()
            try:
                async with asyncio.timeout(max(0.0, self._ends_s - asked_s)):
                    await self._receiver.renew_message_lock(self._message)
                self._ends_s = asked_s + self._lock_s
            except _LOST as error:
                self._lose(str(error))
            except BROKER_ERRORS as error:
                await self._missed(error)
        return not self.is_lost

    async def settle(self, how: Settlement) -> None:
        """Settle the message. Raises MessageLockLostError also where only the local clock says so, BROKER_ERRORS."""
        async with self._in_use:
            await how(self._receiver, self._message)

    async def _missed(self, error: Exception) -> None:
        """The broker did not answer: try over another receiver next time, as long as the lock may last."""
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
