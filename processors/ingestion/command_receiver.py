"""A lane: one receiver of the queue, which handles one message at a time.

The SDK's receivers don't support concurrent use. A lane that waits for a service takes no further message, which is the
back-pressure.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import MessageLockLostError
from msgspec import Struct

from songline.cloud.service_fault import is_denied
from songline.processors.ingestion.clock_skew import ClockSkew, skew_limit_s
from songline.processors.ingestion.message_handler import DeadLetterCause, MessageHandler, Outcome
from songline.processors.ingestion.message_lock import BROKER_ERRORS, PAUSE_S, MessageLock, Settlement
from songline.schemas.channels import SONG_COMMANDS

logger = logging.getLogger("ingestion")

# The limits of Service Bus for a queue.
SHORTEST_LOCK_S = 5.0
LONGEST_LOCK_S = 300.0
USUAL_LOCK_S = 60.0
SETTLE_TRIES = 5
# The broker takes 4,096 characters, and the message's other properties need room as well.
TEXT_MAX = 1024


class ReceiverConfig(Struct, frozen=True):
    """The tuning of the receivers: counts, and times in seconds.

    `attempts` is below the queue's maximum delivery count, so that the dead letter says what failed. While a service is
    away, a command is held and its lock is renewed; after `stall` seconds the worker is not ready because of it.
    """

    lanes: int = 4
    wait: float = 2.0
    grace: float = 30.0
    attempts: int = 8
    longest_pause: float = 30.0
    stall: float = 30.0


class CommandReceiver:
    """Receives messages and settles them by the outcome of their handling.

    - `away`: why the broker doesn't answer, None if it does. `is_denied`: it refuses this worker.
    - `taken`: the sequence number of the message that is being handled.
    - `clock_refuses`: the SDK counts a lock as lost that the broker renews.
    - `seen_s`: the monotonic time of the last activity, in seconds.
    """

    def __init__(
        self,
        bus: ServiceBusClient,
        handling: MessageHandler,
        pace: ReceiverConfig,
        clock: ClockSkew,
        now: Callable[[], datetime],
        steady: Callable[[], float],
    ) -> None:
        self._bus = bus
        self._handling = handling
        self._pace = pace
        self._clock = clock
        self._now = now
        self._steady = steady
        self.away: str | None = "no request was sent yet"
        self.is_denied = False
        self.taken: int | None = None
        self.clock_refuses = False
        self.lock_s = USUAL_LOCK_S
        self.seen_s = steady()

    async def run(self, stop: asyncio.Event, may_take: Callable[[], bool]) -> None:
        """Handle one message after the other until `stop`, while `may_take`. Reconnects to a broker that is away."""
        pause_s = 0.5
        while not stop.is_set():
            try:
                async with self._open_receiver() as receiver:
                    self.away, self.is_denied = None, False
                    while not stop.is_set():
                        self.seen_s = self._steady()
                        if not may_take():
                            await _sleep(stop, PAUSE_S)
                            continue
                        for message in await receiver.receive_messages(1, max_wait_time=self._pace.wait):
                            await self._take(receiver, message, stop)
                        pause_s = 0.5
            except BROKER_ERRORS as error:
                self.away = str(error).partition("\n")[0] or type(error).__name__
                self.is_denied = is_denied(error)
                self.seen_s = self._steady()
                logger.warning("the broker did not answer, next try in %.1f s: %s", pause_s, error)
                await _sleep(stop, pause_s)
                pause_s = min(2 * pause_s, self._pace.longest_pause)

    async def _take(
        self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage, stop: asyncio.Event
    ) -> None:
        """Handle a message and settle it by its outcome. A lost lock cancels the handling."""
        lock = MessageLock(
            receiver,
            self._open_receiver,
            message,
            self.lock_s,
            self._learn(message),
            lambda: _cancel(handling),
            self._steady,
            self._now,
        )
        handling = asyncio.ensure_future(self._handling.handle(message, lock.check))
        self.taken = message.sequence_number
        try:
            async with lock:
                try:
                    outcome = await handling
                except asyncio.CancelledError:
                    handling.cancel()
                    await asyncio.gather(handling, return_exceptions=True)
                    if not lock.is_lost:
                        with suppress(*BROKER_ERRORS):
                            await lock.settle(_settlement("abandon"))
                    if not lock.is_lost or _is_cancelled():
                        raise
                    return
                await self._settle(lock, message, outcome, stop)
        finally:
            self.taken = None
            self.clock_refuses = False

    def _learn(self, message: ServiceBusReceivedMessage) -> float:
        """Set the duration of locks from the message's; return the seconds within which the lock must be renewed.

        The broker only sends the end of the lock, in its own time.
        """
        ends = message.locked_until_utc
        local_s = self.lock_s if ends is None else (ends - self._now()).total_seconds()
        self.lock_s = min(max(local_s + self._clock.seconds, SHORTEST_LOCK_S), LONGEST_LOCK_S)
        return min(local_s, self.lock_s) if local_s > 0 else self.lock_s

    async def _settle(
        self, lock: MessageLock, message: ServiceBusReceivedMessage, outcome: Outcome, stop: asyncio.Event
    ) -> None:
        """Settle the message, with retries while its lock is held and the broker is away or the clock is wrong."""
        tries = 0
        while True:
            try:
                await lock.settle(_settlement(outcome))
            except BROKER_ERRORS as error:
                self.clock_refuses = isinstance(error, MessageLockLostError)
                tries += not self.clock_refuses
                if tries == SETTLE_TRIES and isinstance(outcome, DeadLetterCause):
                    # The broker may refuse the description itself.
                    outcome = DeadLetterCause(outcome.reason, "")
                if not await lock.renew() or stop.is_set() or tries > SETTLE_TRIES:
                    # The message is delivered again, and repeating its command changes nothing.
                    logger.warning("%s could not be settled: %s", message.message_id, error)
                    return
                await _sleep(stop, PAUSE_S)
            else:
                return

    def _open_receiver(self) -> ServiceBusReceiver:
        return self._bus.get_queue_receiver(SONG_COMMANDS)


def clock_is_usable(clock: ClockSkew, lock_s: float) -> bool:
    """Whether the SDK can settle a message that is locked for `lock_s` seconds."""
    return clock.seconds < skew_limit_s(lock_s)


def _settlement(outcome: Outcome) -> Settlement:
    async def settle(receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage) -> None:
        match outcome:
            case DeadLetterCause(reason, description):
                await receiver.dead_letter_message(
                    message, reason=_sendable(reason), error_description=_sendable(description)
                )
            case "abandon":
                await receiver.abandon_message(message)
            case _:
                await receiver.complete_message(message)

    return settle


def _sendable(text: str) -> str:
    """`text` without characters that UTF-8 can't encode, cut to the length that the broker takes."""
    return text.encode("utf-8", "backslashreplace").decode()[:TEXT_MAX]


def _cancel(handling: "asyncio.Future[Outcome]") -> None:
    handling.cancel()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and bool(task.cancelling())


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
