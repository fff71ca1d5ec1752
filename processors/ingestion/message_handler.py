"""Handles a message: carries out its command, retries while a service is away, and returns how to settle it."""

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.exceptions import MessageLockLostError
from msgspec import Struct

from songline.cloud.http_transport import Guard
from songline.cloud.retry import FailedTry, RetryPolicy, retry
from songline.cloud.service_fault import ServiceFault, fault_of, is_denied
from songline.processors.ingestion.command_message import body_of, command_of
from songline.processors.ingestion.command_runner import CommandRunner
from songline.processors.ingestion.transitions import CommandRefusedError
from songline.schemas.commands import Command, RemoveSong
from songline.schemas.errors import PoisonError
from songline.schemas.progress_report import NotReadyCause

logger = logging.getLogger("ingestion")

# The first fault ends by itself. An operator mends the others.
_WAITED_FOR = (ServiceFault.UNAVAILABLE, ServiceFault.ACCESS_DENIED, ServiceFault.MISSING)
_DISK = (errno.ENOSPC, errno.EDQUOT)


class DeadLetterCause(Struct, frozen=True):
    """The reason and the description with which a message is dead-lettered."""

    reason: str
    description: str


Outcome: TypeAlias = DeadLetterCause | Literal["complete", "abandon"]


class HeldCommand(Struct):
    """A command that waits for a service: since when, in monotonic seconds, and why."""

    since_s: float
    why: str
    cause: NotReadyCause


class MessageHandler:
    """Carries out the commands of messages, one call a message. `held` has the commands that wait for a service, by id.

    A command that fails is given up after `attempts` deliveries. `steady` returns monotonic seconds.
    """

    def __init__(self, work: CommandRunner, attempts: int, longest_pause_s: float, steady: Callable[[], float]) -> None:
        self._work = work
        self._attempts = attempts
        self._longest_pause_s = longest_pause_s
        self._steady = steady
        self.held: dict[str, HeldCommand] = {}

    async def handle(self, message: ServiceBusReceivedMessage, check: Guard) -> Outcome:
        """Handle the message and return how to settle it. `check` raises MessageLockLostError where its lock is lost.
        Raises only CancelledError, for any content."""
        command: Command | None = None
        try:
            command = command_of(message)
            done = await self._patiently(command, body_of(message), check)
        except PoisonError as poison:
            logger.error("%s is poison: %s", message.message_id, poison)
            return DeadLetterCause(poison.reason, poison.detail)
        except CommandRefusedError as refused:
            logger.warning("%s is refused: %s", message.message_id, refused)
            return DeadLetterCause(refused.reason, str(refused))
        except MessageLockLostError as lost:
            logger.warning("%s is left to who has it: %s", message.message_id, lost)
            return "abandon"
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the message must be settled
            return await self._failed(message, command, error, check)
        if done is None and isinstance(command.data, RemoveSong):
            logger.info("%s %s: the song was not uploaded here; its removal is published", command.type, command.id)
        elif done is not None:
            logger.info("%s %s: %s", command.type, done.id, done.reason.text if done.reason else done.state)
        return "complete"

    async def _patiently(self, command: Command, body: list[bytes], check: Guard) -> Any:
        """Carry out the command, with retries while a service is away. The retries cost no delivery."""

        def hold(failed: FailedTry) -> None:
            error = failed.error
            why = f"{type(error).__name__}: {error}".partition("\n")[0]
            held = self.held.setdefault(command.id, HeldCommand(self._steady(), why, cause_of(error)))
            held.why, held.cause = why, cause_of(error)
            logger.warning("a service is away, try %d: %s", failed.number, why)

        policy = RetryPolicy(first_pause_s=0.5, longest_pause_s=self._longest_pause_s)
        try:
            return await retry(lambda: self._work.carry_out(command, body, check), policy, is_passing, hold)
        finally:
            self.held.pop(command.id, None)

    async def _failed(
        self, message: ServiceBusReceivedMessage, command: Command | None, error: Exception, check: Guard
    ) -> Outcome:
        tries = (message.delivery_count or 0) + 1
        logger.error("%s failed, try %d of %d", message.message_id, tries, self._attempts, exc_info=error)
        if tries < self._attempts:
            await asyncio.sleep(min(2.0**tries, self._longest_pause_s))
            return "abandon"
        text = f"It failed {tries} times, last with {type(error).__name__}: {error}"
        if command is not None:
            try:
                await self._work.give_up(command, text, check)
            except Exception as again:  # noqa: BLE001 - the reconciler records it later
                logger.warning("%s: its ingestion could not be updated: %s", command.id, again)
        return DeadLetterCause("failed", text)


def is_passing(error: BaseException) -> bool:
    """Whether the error is not the song's: a service that is busy, away or denies access, or a full disk.

    The command waits until the error ends or is mended, which costs no delivery.
    """
    if isinstance(error, OSError):
        return error.errno in _DISK
    return fault_of(error) in _WAITED_FOR


def cause_of(error: BaseException | None) -> NotReadyCause:
    """Why a command that waits for `error` to pass makes the worker not ready."""
    if error is not None and is_denied(error):
        return NotReadyCause.ACCESS_DENIED
    return NotReadyCause.WRITES_REFUSED if isinstance(error, OSError) else NotReadyCause.SERVICE_AWAY
