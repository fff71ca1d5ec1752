"""Links over which a client receives from a queue, a subscription or one of their sub-queues."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final
from uuid import UUID

from localcloud.amqp.performatives import Accepted, DeliveryState, ErrorCondition, Modified, Rejected, Released
from localcloud.amqp.sending_link import OutgoingDelivery, Outlet, SendingLink
from localcloud.amqp.types import Map
from localcloud.faults import DuplicateFault, FaultRule
from localcloud.servicebus.amqp_format import amqp_error, delivered
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.changes import QueuedMessage
from localcloud.servicebus.errors import (
    DamagedBodyError,
    MessageLockLostError,
    ServerBusyError,
    ServiceBusError,
    SessionLockLostError,
)
from localcloud.servicebus.message import DESCRIPTION, REASON, BodyFile
from localcloud.servicebus.namespace import ServiceBusNamespace
from localcloud.servicebus.queue import MessageQueue

log = logging.getLogger(__name__)

# Messages received at one time, so that a client with much credit does not delay the others.
MAX_TAKEN: Final = 250

LAPSED_LINK_S: Final = 5.0
"""How long after its session's lock has ended a link is detached, unless another takes the session: at the lock's end
itself, a client that waits for messages of a session as long as the lock lasts would get an error instead of none."""


class QueueOutlet(Outlet):
    """Locks messages and sends them, or deletes them when the client receives settled ones.

    `session_id` and `session_token` are those of the session that the link has accepted.
    """

    def __init__(
        self,
        namespace: ServiceBusNamespace,
        path: str,
        link: SendingLink,
        session_id: str | None = None,
        session_token: UUID | None = None,
    ) -> None:
        self.link = link
        self._namespace = namespace
        self._path = path
        self._session_id = session_id
        self._session_token = session_token
        self._new_token = None if link.settles_on_send else namespace.new_id
        self._committing = 0
        self._outbox: deque[QueuedMessage] = deque()
        self._reading = False
        self._detaching: asyncio.TimerHandle | None = None
        namespace.subscribe(path, self)

    # From the namespace

    def on_ready(self) -> None:
        """Detach the link if its entity is gone, and some time after its session's lock has ended; else send."""
        try:
            queue = self._namespace.broker.outlet(self._path)
        except ServiceBusError as error:
            self.link.detach(amqp_error(error))
            return
        if self._has_session(queue):
            self.link.pump()
        elif self._session_id is not None and queue.sessions.is_locked(self._session_id):
            self._detach_lapsed()
        elif self._detaching is None:
            self._detaching = asyncio.get_running_loop().call_later(LAPSED_LINK_S, self._detach_lapsed)

    def _detach_lapsed(self) -> None:
        self.link.detach(amqp_error(self._lock_lost()))

    def on_reset(self) -> None:
        self._outbox.clear()
        if self._session_id is not None:
            self.link.detach(amqp_error(SessionLockLostError("The session's lock was lost in a failure of the store.")))

    # From the link

    def on_credit(self) -> None:
        self._send_outbox()
        room = min(self.link.credit - self._committing - len(self._outbox), MAX_TAKEN)
        if room <= 0 or not self.link.sendable:
            return
        try:
            queue = self._namespace.broker.outlet(self._path)
            if self._has_session(queue) and queue.ready.first(self._session_id) is not None:
                self._receive(room)
        except ServiceBusError as error:
            self.link.detach(amqp_error(error))

    def on_drain(self) -> None:
        if not (self._committing or self._outbox):
            self.link.return_credit()

    def on_outcome(self, delivery: OutgoingDelivery, state: DeliveryState, settled: bool) -> None:
        # Once the link has ended no answer reaches the client: it settles again through management.
        if isinstance(delivery.context, UUID) and (settled or not self.link.ended):
            self._namespace.spawn(self._settle(delivery, delivery.context, state, settled))

    def on_detached(self) -> None:
        self._namespace.unsubscribe(self._path, self)
        if self._detaching is not None:
            self._detaching.cancel()
        self._release(list(self._outbox))
        self._outbox.clear()
        session_id, token = self._session_id, self._session_token
        if session_id is not None and token is not None:
            self._spawn(lambda queue, now_ms: queue.end_session(session_id, token, now_ms))

    # Inside

    def _has_session(self, queue: MessageQueue) -> bool:
        """Whether the link may receive: it has no session, or that session's lock."""
        session_id, token = self._session_id, self._session_token
        return session_id is None or token is None or queue.sessions.is_locked_by(session_id, token)

    def _lock_lost(self) -> SessionLockLostError:
        return SessionLockLostError(f"The lock on session '{self._session_id}' of {self._path} ended.")

    def _receive(self, room: int) -> None:
        session_id, new_token = self._session_id, self._new_token

        def receive(broker: Broker, now_ms: int) -> list[QueuedMessage]:
            queue = broker.outlet(self._path)
            if not self._has_session(queue):
                return []
            broker.record_access(self._path, now_ms)
            return queue.receive(room, now_ms, new_token, session_id)

        messages, durable = self._namespace.apply(receive)
        self._committing += len(messages)

        async def deliver() -> None:
            try:
                await durable
            finally:
                self._committing -= len(messages)
            self._outbox.extend(messages)
            if self.link.ended:
                self._release(messages)
                self._outbox.clear()
            else:
                self.link.pump()

        self._namespace.spawn(deliver())

    def _send_outbox(self) -> None:
        """Send what was received for this client; release what it has no credit for any more."""
        while self._outbox and not self._reading and self.link.sendable:
            fault = self.link.strike()
            if self.link.paused or self.link.ended:
                return
            message = self._outbox.popleft()
            if isinstance(message.content.body, BodyFile):
                self._reading = True
                self._namespace.spawn(self._send_big(message, fault))
            else:
                self._send(message, message.content.body, fault)
        if self._outbox and self.link.credit == 0 and self._new_token is not None and not self._reading:
            self._release(list(self._outbox))
            self._outbox.clear()

    async def _send_big(self, message: QueuedMessage, fault: FaultRule | None) -> None:
        try:
            body = await self._namespace.read_body(message.content)
        except FileNotFoundError:
            log.warning("message %s of %s went while it was read", message.sequence, self._path)
            return
        except DamagedBodyError as error:
            log.critical("message %s of %s: %s", message.sequence, self._path, error)
            self._release([message])
            self.link.detach(amqp_error(error))
            return
        finally:
            self._reading = False
        if self.link.ended or (self.link.credit == 0 and message.lock is not None):
            self._release([message])
        else:
            self._send(message, body, fault)
        self.link.pump()

    def _send(self, message: QueuedMessage, body: bytes, fault: FaultRule | None) -> None:
        payload = delivered(message, body)
        if message.lock is not None:
            # .NET's byte order, in which clients read the tag as a lock token.
            token = message.lock.token
            self.link.send(payload, token.bytes_le, settled=False, context=token)
            if isinstance(fault, DuplicateFault):
                # As when the lock ends too early: it comes again, and this delivery can't be settled any more.
                self._spawn(lambda queue, now_ms: queue.abandon(token, now_ms, {}))
        else:
            # No tag, as from the service: clients keep each distinct one.
            self.link.send(payload, b"", settled=True)

    def _release(self, messages: list[QueuedMessage]) -> None:
        tokens = [message.lock.token for message in messages if message.lock is not None]
        if tokens and self._session_id is None:
            self._spawn(lambda queue, now_ms: queue.release(tokens))

    def _spawn(self, operation: Callable[[MessageQueue, int], object]) -> None:
        """Change the queue, if it still exists, without waiting for the disk."""

        async def run() -> None:
            try:
                await self._namespace.run(lambda broker, now_ms: operation(broker.queue_at(self._path), now_ms))
            except ServerBusyError:
                raise
            except ServiceBusError as error:
                log.debug("%s: %s", self._path, error)

        self._namespace.spawn(run())

    async def _settle(self, delivery: OutgoingDelivery, token: UUID, state: DeliveryState, settled: bool) -> None:
        def operation(broker: Broker, now_ms: int) -> None:
            queue = broker.queue_at(self._path)
            if not self._has_session(queue):
                raise self._lock_lost()
            settle(queue, token, state, now_ms)

        try:
            await self._namespace.run(operation)
        except ServiceBusError as error:
            answer: DeliveryState = Rejected(ErrorCondition.from_exception(amqp_error(error)))
        else:
            # The error of a rejected message is for us: sent back, it would be taken for a failure.
            answer = Rejected() if isinstance(state, Rejected) else state
        if not settled and not delivery.link.ended:
            delivery.settle(answer)


def settle(queue: MessageQueue, token: UUID, state: DeliveryState, now_ms: int) -> None:
    """Settle the message that `token` locks as the client's outcome says. Raises ServiceBusError."""
    match state:
        case Accepted():
            queue.complete(token, now_ms)
        case Modified(undeliverable_here=True):
            queue.defer(token, now_ms, _changes(state.message_annotations))
        case Modified():
            # Whether delivery-failed or not: JavaScript's client abandons without it.
            queue.abandon(token, now_ms, _changes(state.message_annotations))
        case Rejected():
            info = dict(state.error.info or {}) if state.error else {}
            reason = info.pop(REASON, state.error.condition if state.error else None)
            description = info.pop(DESCRIPTION, state.error.description if state.error else None)
            queue.dead_letter(token, now_ms, text(reason), text(description), _changes(info))
        case Released() | None:
            queue.release([token])
        case _:
            raise MessageLockLostError(f"{state!r} is no outcome that a message can have")


def text(value: object) -> str | None:
    return None if value is None else str(value)


def _changes(annotations: Map | None) -> Map:
    """Properties to modify come with symbols for keys; application properties have strings."""
    return {str(key): value for key, value in (annotations or {}).items()}
