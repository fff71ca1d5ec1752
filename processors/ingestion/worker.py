"""The pump: messages of the queue `song-commands` in, settled messages out.

Each lane has a receiver of its own and one message at a time: the SDK's receivers are not made for several coroutines,
and a lane that waits for a service takes no further message, which is all the back-pressure there is to do.
"""

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError
from azure.eventhub.exceptions import EventHubError
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError
from msgspec import Struct
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from processors.ingestion.decide import CommandRefused
from processors.ingestion.work import Work
from schemas.channels import SONG_COMMANDS
from schemas.commands import PROPERTY, Command, decode
from schemas.errors import Poison

logger = logging.getLogger("ingestion")

# Of the answers that blame the request, those that another try, or an operator's hand, may change.
_NOT_OURS = frozenset({401, 403, 404, 408, 409, 412, 429})
DESCRIPTION_MAX = 1024
# After an error that the SDK did not expect it shuts the receiver down, and says so by ValueError from then on.
GONE = (ServiceBusError, ValueError)


class Pace(Struct, frozen=True):
    """How a worker works. Seconds, but for counts.

    `attempts` is below the queue's own maximum, so that the dead letter says what failed. A command is held for as
    long as `hold` while a service is away, its lock renewed; after `stall` the worker is not ready for it.
    """

    lanes: int = 4
    wait: float = 2.0
    grace: float = 30.0
    attempts: int = 8
    longest_pause: float = 30.0
    hold: float = 3600.0
    stall: float = 30.0


class _Held(Struct):
    """A command that waits for a service: since when, in seconds of the steady clock, and for what."""

    since: float
    why: str


class Worker:
    """`steady` gives seconds."""

    def __init__(
        self, bus: ServiceBusClient, work: Work, pace: Pace, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._bus = bus
        self._work = work
        self._pace = pace
        self._steady = steady
        # By lane and by command, as long as it is so.
        self._deaf = dict.fromkeys(range(pace.lanes), "it was not asked yet")
        self._held: dict[str, _Held] = {}

    def why_not(self) -> list[str]:
        """The reasons for which commands are not carried out."""
        reasons = [f"the broker does not answer: {why}" for why in set(self._deaf.values())]
        now = self._steady()
        for command, held in self._held.items():
            if now - held.since >= self._pace.stall:
                reasons.append(f"{command} is held for {now - held.since:.0f} s: {held.why}")
        return reasons

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then each lane finishes what it has in hand, or hands it back when `grace` is over."""
        async with AutoLockRenewer(max_lock_renewal_duration=self._pace.hold) as renewer:
            lanes = [asyncio.create_task(self._lane(lane, stop, renewer)) for lane in range(self._pace.lanes)]
            stopped = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait([stopped, *lanes], return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait(lanes, timeout=self._pace.grace if stop.is_set() else 0)
            finally:
                for task in (stopped, *lanes):
                    task.cancel()
                ended = await asyncio.gather(*lanes, return_exceptions=True)
        for result in ended:
            if isinstance(result, Exception):
                raise result

    async def _lane(self, lane: int, stop: asyncio.Event, renewer: AutoLockRenewer) -> None:
        """One message after the other. A broker that is away is waited for."""
        pause = 0.5
        while not stop.is_set():
            try:
                async with self._bus.get_queue_receiver(SONG_COMMANDS) as receiver:
                    self._deaf.pop(lane, None)
                    while not stop.is_set():
                        for message in await receiver.receive_messages(1, max_wait_time=self._pace.wait):
                            await self._settle(receiver, renewer, message)
                        pause = 0.5
            except GONE as error:
                self._deaf[lane] = str(error).partition("\n")[0]
                logger.warning("the broker did not answer, next try in %.1f s: %s", pause, error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
                pause = min(2 * pause, self._pace.longest_pause)

    async def _settle(
        self, receiver: ServiceBusReceiver, renewer: AutoLockRenewer, message: ServiceBusReceivedMessage
    ) -> None:
        """Handle a message and settle it as its outcome asks for. One whose lock is lost is somebody else's."""
        handling = asyncio.ensure_future(self._handle(message))

        async def lost(_: object, error: Exception | None) -> None:
            logger.warning("the lock of %s was lost: %s", message.message_id, error)
            handling.cancel()

        renewer.register(receiver, message, on_lock_renew_failure=lost)
        try:
            settle = await handling
        except asyncio.CancelledError:
            handling.cancel()
            await asyncio.gather(handling, return_exceptions=True)
            with suppress(*GONE):
                await receiver.abandon_message(message)
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return
        try:
            if isinstance(settle, _DeadLetter):
                description = settle.description[:DESCRIPTION_MAX]
                await receiver.dead_letter_message(message, reason=settle.reason, error_description=description)
            elif settle == "abandon":
                await receiver.abandon_message(message)
            else:
                await receiver.complete_message(message)
        except GONE as error:
            # It comes again, and what is done is found done.
            logger.warning("%s could not be settled: %s", message.message_id, error)

    async def _handle(self, message: ServiceBusReceivedMessage) -> "_DeadLetter | str":
        """What to do with the message: `complete`, `abandon`, or a dead letter."""
        try:
            command = command_of(message)
        except Poison as poison:
            logger.error("%s is poison: %s", message.message_id, poison)
            return _DeadLetter(poison.reason, poison.detail)
        try:
            done = await self._patiently(command, body_of(message))
        except Poison as poison:
            logger.error("%s is poison: %s", command.id, poison)
            return _DeadLetter(poison.reason, poison.detail)
        except CommandRefused as refused:
            logger.warning("%s is refused: %s", command.id, refused)
            return _DeadLetter(refused.reason, str(refused))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the message must be settled
            return await self._failed(message, command, error)
        if done is None:
            logger.info("%s %s: it was not uploaded here, and is taken away", command.type, command.id)
        else:
            logger.info("%s %s: %s", command.type, done.id, done.reason.text if done.reason else done.state)
        return "complete"

    async def _patiently(self, command: Command, body: list[bytes]) -> Any:
        """Carry the command out, again and again while a service is away: that costs no delivery."""

        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            why = f"{type(error).__name__}: {error}"
            self._held.setdefault(command.id, _Held(self._steady(), why)).why = why
            logger.warning("a service is away, try %d: %s", state.attempt_number, why)

        retrying = AsyncRetrying(
            retry=retry_if_exception(is_passing),
            wait=wait_random_exponential(multiplier=0.5, max=self._pace.longest_pause),
            before_sleep=tell,
        )
        try:
            return await retrying(self._work.carry_out, command, body)
        finally:
            self._held.pop(command.id, None)

    async def _failed(
        self, message: ServiceBusReceivedMessage, command: Command, error: Exception
    ) -> "_DeadLetter | str":
        tries = (message.delivery_count or 0) + 1
        logger.error("%s failed, try %d of %d", command.id, tries, self._pace.attempts, exc_info=error)
        if tries < self._pace.attempts:
            await asyncio.sleep(min(2.0**tries, self._pace.longest_pause))
            return "abandon"
        text = f"It failed {tries} times, last with {type(error).__name__}: {error}"
        with suppress(AzureError):
            await self._work.give_up(command, text)
        return _DeadLetter("failed", text)


class _DeadLetter(Struct, frozen=True):
    reason: str
    description: str


def command_of(message: ServiceBusReceivedMessage) -> Command:
    """The command that a message carries; raises Poison."""
    properties = {_text(name): value for name, value in (message.application_properties or {}).items()}
    written = properties.get(PROPERTY)
    if not isinstance(written, bytes | str):
        raise Poison("not-a-command", f"the application property {PROPERTY!r} is {type(written).__name__}, not text")
    return decode(written)


def body_of(message: ServiceBusReceivedMessage) -> list[bytes]:
    body = message.body
    return [body] if isinstance(body, bytes) else list(_sections(body))


def is_passing(error: BaseException) -> bool:
    """Whether the song is not to blame: a service that is busy, away or doesn't let us in, a disk that is full.

    The song waits until that has passed or is mended, and loses no delivery by it.
    """
    match error:
        case HttpResponseError():
            code = error.status_code
            return code is None or code >= 500 or code in _NOT_OURS
        case AzureError() | EventHubError():
            return True
        case OSError():
            return error.errno in (errno.ENOSPC, errno.EDQUOT)
        case _:
            return False


def _sections(body: Iterable[Any]) -> Iterable[bytes]:
    for section in body:
        if not isinstance(section, bytes):
            raise Poison("not-a-command", f"the body holds {type(section).__name__}, not the bytes of a file")
        yield section


def _text(name: str | bytes) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name
