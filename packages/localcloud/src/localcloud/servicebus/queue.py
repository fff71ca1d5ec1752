"""The messages of a queue and their states: the state machine behind queues, subscriptions and dead-letter queues.

Pure: time and tokens come in as arguments, durable changes go out through `emit`. Semantics (Microsoft Learn): "Message
transfers, locks, and settlement", "Message sessions", "Message deferral", "Message expiration", "Dead-letter queues".
"""

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from localcloud.amqp.types import Map
from localcloud.servicebus.changes import (
    Emit,
    LockGrant,
    MessageDeleted,
    MessageInserted,
    MessageState,
    MessageUpdated,
    QueuedMessage,
)
from localcloud.servicebus.dead_lettering import check_reasons, with_reasons
from localcloud.servicebus.errors import (
    MessageLockLostError,
    MessageNotFoundError,
    NotAllowedError,
    QuotaExceededError,
)
from localcloud.servicebus.message import MessageContent
from localcloud.servicebus.message_timers import MessageTimers
from localcloud.servicebus.policy import QueuePolicy
from localcloud.servicebus.ready_messages import ReadyMessages
from localcloud.servicebus.sequence_order import SequenceOrder
from localcloud.servicebus.sessions import MessageSessions

NewToken = Callable[[], UUID]


class MessageQueue:
    """Messages in the order of their sequence numbers.

    `on_ready` is called when there may be something to receive or to forward; `on_timer` with the moment at which
    `advance` has something to do. `dead_letters` and `transfer_dead_letters` are None for a dead-letter queue.
    """

    def __init__(
        self,
        path: str,
        policy: QueuePolicy,
        emit: Emit,
        on_ready: Callable[["MessageQueue"], None],
        on_timer: Callable[[int, "MessageQueue"], None],
    ) -> None:
        self.path = path
        self.policy = policy
        self.dead_letters: MessageQueue | None = None
        self.transfer_dead_letters: MessageQueue | None = None
        self.messages: dict[int, QueuedMessage] = {}
        self.sessions = MessageSessions(path, emit)
        self.next_sequence = 1
        self.bytes = 0
        self._emit = emit
        self._on_ready = on_ready
        self._on_timer = on_timer
        self._order = SequenceOrder()
        self.ready = ReadyMessages(self.messages)
        self._locked: dict[UUID, int] = {}
        self.timers = MessageTimers(self.messages)

    # Adding

    def check_room(self, contents: Iterable[MessageContent]) -> None:
        """Raises QuotaExceededError when these do not all fit, NotAllowedError for one that lacks a session id."""
        more = 0
        for content in contents:
            more += content.size
            if self.policy.requires_session and content.session_id is None:
                raise NotAllowedError(f"{self.path} requires sessions, and the message has no session id (group-id)")
        limit = self.policy.max_bytes
        if limit is not None and self.bytes + more > limit:
            raise QuotaExceededError(
                f"{self.path} holds {self.bytes} bytes of {limit}; {more} more don't fit: receive some"
            )

    def push(
        self,
        content: MessageContent,
        now_ms: int,
        *,
        source: str | None = None,
        enqueued_sequence: int | None = None,
        hops: int = 0,
        delivery_count: int = 0,
    ) -> QueuedMessage:
        """Add a message, scheduled when its time is yet to come."""
        scheduled = content.due_ms is not None and content.due_ms > now_ms
        enqueued = content.due_ms if scheduled and content.due_ms else now_ms
        message = QueuedMessage(
            sequence=self.next_sequence,
            content=content,
            enqueued_ms=enqueued,
            expires_ms=self.policy.expiry(content.ttl_ms, enqueued),
            state=MessageState.SCHEDULED if scheduled else MessageState.ACTIVE,
            source=source,
            enqueued_sequence=enqueued_sequence,
            hops=hops,
            delivery_count=delivery_count,
        )
        self._emit(MessageInserted(self.path, message))
        self.restore(message)
        return message

    def restore(self, message: QueuedMessage) -> None:
        """Take in a message that is durable already."""
        self.next_sequence = max(self.next_sequence, message.sequence + 1)
        self.messages[message.sequence] = message
        self._order.append(message.sequence)
        self.bytes += message.content.size
        if message.lock:
            self._locked[message.lock.token] = message.sequence
            self._at(message.lock.until_ms, message.sequence)
        if message.state is MessageState.SCHEDULED:
            self._at(message.enqueued_ms, message.sequence)
        if message.expires_ms is not None:
            self._at(message.expires_ms, message.sequence)
        self._make_ready(message)

    # Receiving

    def receive(
        self, count: int, now_ms: int, new_token: NewToken | None, session_id: str | None = None
    ) -> list[QueuedMessage]:
        """Up to `count` messages in order: locked with new tokens, or deleted when `new_token` is None.

        Raises SessionLockLostError when the session is not locked any more.
        """
        if session_id is not None:
            self.sessions.check(session_id, now_ms)
        taken: list[QueuedMessage] = []
        while len(taken) < count and (message := self.ready.first(session_id)) is not None:
            if new_token is None:
                self.remove(message)
                taken.append(message)
            else:
                taken.append(self._lock(message, now_ms, new_token()))
        return taken

    def receive_deferred(
        self, sequences: Sequence[int], now_ms: int, new_token: NewToken | None, session_id: str | None = None
    ) -> list[QueuedMessage]:
        """The deferred messages of these numbers, locked or deleted. Raises MessageNotFoundError if one is missing."""
        if session_id is not None:
            self.sessions.check(session_id, now_ms)
        found = []
        for sequence in sequences:
            message = self.messages.get(sequence)
            if message is None or message.state is not MessageState.DEFERRED or message.lock is not None:
                raise MessageNotFoundError(f"{self.path} has no deferred message {sequence} that could be received")
            if session_id is not None and message.content.session_id != session_id:
                raise MessageNotFoundError(f"the deferred message {sequence} is not of session {session_id}")
            found.append(message)
        if new_token is None:
            for message in found:
                self.remove(message)
            return found
        return [self._lock(message, now_ms, new_token()) for message in found]

    def peek(self, start: int, count: int, session_id: str | None = None) -> list[QueuedMessage]:
        """Up to `count` messages from number `start` on, whatever their state, as they are."""
        found: list[QueuedMessage] = []
        for sequence in self._order.starting_at(start):
            message = self.messages.get(sequence)
            if message is None or (session_id is not None and message.content.session_id != session_id):
                continue
            if len(found) == count:
                break
            found.append(message)
        return found

    # Settlement

    def complete(self, token: UUID, now_ms: int) -> None:
        """Raises MessageLockLostError or SessionLockLostError, as does every settlement."""
        self.remove(self._locked_message(token, now_ms))

    def abandon(self, token: UUID, now_ms: int, changes: Map) -> None:
        """Return it with `changes` to its application properties, or dead-letter it after the last delivery."""
        self._return(self._locked_message(token, now_ms), now_ms, changes)

    def defer(self, token: UUID, now_ms: int, changes: Map) -> None:
        """Defer it: from now on it is received by its sequence number only. It counts as a delivery."""
        self._unlock(self.policy.delivered(self._locked_message(token, now_ms)), changes, state=MessageState.DEFERRED)

    def dead_letter(self, token: UUID, now_ms: int, reason: str | None, description: str | None, changes: Map) -> None:
        """Move it to the dead-letter queue. Raises InvalidArgumentError for a long reason, NotAllowedError if there."""
        check_reasons(reason, description)
        message = self._locked_message(token, now_ms)
        if self.dead_letters is None:
            raise NotAllowedError(f"{self.path} is a dead-letter queue already: complete the message, or abandon it")
        self.move_to_dead_letters(message, now_ms, reason, description, changes)

    def release(self, tokens: Iterable[UUID]) -> None:
        """Unlock messages that did not reach their receiver, without counting a delivery."""
        for token in tokens:
            sequence = self._locked.get(token)
            if sequence is not None:
                self._unlock(self.messages[sequence], {})

    def renew(self, token: UUID, now_ms: int) -> int:
        """Until when the lock now lasts (Unix milliseconds)."""
        message = self._locked_message(token, now_ms)
        if self.policy.requires_session:
            raise NotAllowedError(f"{self.path} has sessions: renew the lock of the session")
        until = now_ms + self.policy.lock_ms
        self._replace(message._replace(lock=LockGrant(token, until)))
        self._at(until, message.sequence)
        return until

    def cancel_scheduled(self, sequences: Sequence[int]) -> None:
        """Raises MessageNotFoundError, and cancels none, when one is not scheduled (any more)."""
        for sequence in sequences:
            if sequence not in self.messages or self.messages[sequence].state is not MessageState.SCHEDULED:
                raise MessageNotFoundError(f"{self.path} has no scheduled message {sequence}")
        for sequence in set(sequences):
            self.remove(self.messages[sequence])

    # Sessions

    def accept_session(self, session_id: str, now_ms: int, token: UUID) -> LockGrant:
        """Lock a session, whether it has messages or not. Raises SessionCannotBeLockedError."""
        lock = self.sessions.lock(session_id, now_ms, token, self.policy.lock_ms)
        self._on_ready(self)  # a link that had the session has lost it
        self._on_timer(lock.until_ms, self)
        return lock

    def next_session(self, now_ms: int) -> str | None:
        """A session with something to receive that is not locked, if there is one."""
        return next((s for s in self.ready.session_ids() if s is not None and self.sessions.is_free(s, now_ms)), None)

    def renew_session(self, session_id: str, now_ms: int) -> int:
        """Until when the lock now lasts. Raises SessionLockLostError."""
        until = self.sessions.renew(session_id, now_ms, self.policy.lock_ms)
        self._on_timer(until, self)
        return until

    def end_session(self, session_id: str, token: UUID, now_ms: int, *, lapsed: bool = False) -> None:
        """End the session's lock. When it has `lapsed`, its messages count as delivered."""
        session = self.sessions.unlock(session_id, token)
        if session is None:
            return
        for sequence in filter(None, map(self._locked.get, session)):
            if lapsed:
                self._return(self.messages[sequence], now_ms, {})
            else:
                self._unlock(self.messages[sequence], {})
        self.sessions.remove_if_unused(session_id)
        self._on_ready(self)

    # Time

    @property
    def next_due(self) -> int | None:
        """When `advance` has something to do (Unix milliseconds)."""
        times = (self.timers.first_ms, *self.sessions.lock_ends())
        return min((time for time in times if time is not None), default=None)

    def advance(self, now_ms: int) -> None:
        """Do what is due by `now_ms`: scheduled messages, ends of locks, expiries, ends of session locks."""
        for message in self.timers.due(now_ms):
            if message.state is MessageState.SCHEDULED and message.enqueued_ms <= now_ms:
                self._activate(message)
            elif message.lock and message.lock.until_ms <= now_ms and not self.policy.requires_session:
                self._return(message, now_ms, {})
            elif not message.lock:
                self._expire_if_due(message, now_ms)
        for session_id, token in self.sessions.lapsed(now_ms):
            self.end_session(session_id, token, now_ms, lapsed=True)

    def remove_all(self) -> None:
        """Drop every message; `EntityDeleted` makes it durable."""
        self.messages.clear()
        self.ready.clear()
        self._locked.clear()

    def move_to_dead_letters(
        self,
        message: QueuedMessage,
        now_ms: int,
        reason: str | None,
        description: str | None,
        changes: Map,
        target: "MessageQueue | None" = None,
    ) -> None:
        """Move a message of this queue to its dead-letter queue, or to `target`. It keeps its delivery count."""
        target = target or self.dead_letters
        assert target is not None
        self.remove(message)
        target.push(
            with_reasons(message.content, reason, description, changes),
            now_ms,
            source=self.path,
            enqueued_sequence=message.sequence,
            delivery_count=message.delivery_count,
        )

    # Inside

    def _locked_message(self, token: UUID, now_ms: int) -> QueuedMessage:
        sequence = self._locked.get(token)
        message = None if sequence is None else self.messages[sequence]
        if message is None or message.lock is None:
            raise MessageLockLostError(f"{self.path} has no lock {token}: it ended, or the message is settled.")
        if self.policy.requires_session:
            session_id = message.content.session_id or ""
            self.sessions.check(session_id, now_ms)
        elif message.lock.until_ms <= now_ms:
            ended_ms = now_ms - message.lock.until_ms
            raise MessageLockLostError(f"The lock {token} on {self.path} ended {ended_ms} ms ago.")
        return message

    def _lock(self, message: QueuedMessage, now_ms: int, token: UUID) -> QueuedMessage:
        session_id = message.content.session_id
        if self.policy.requires_session and session_id is not None:
            until = self.sessions.add_token(session_id, token)
        else:
            until = now_ms + self.policy.lock_ms
            self._at(until, message.sequence)
        locked = message._replace(lock=LockGrant(token, until))
        self._locked[token] = message.sequence
        self._replace(locked)
        return locked

    def _return(self, message: QueuedMessage, now_ms: int, changes: Map) -> None:
        limit = self.policy.max_delivery_count
        message = self.policy.delivered(message)
        if limit is not None and self.dead_letters is not None and message.delivery_count >= limit:
            text = f"Message could not be consumed after {limit} delivery attempts."
            self.move_to_dead_letters(message, now_ms, "MaxDeliveryCountExceeded", text, changes)
            return
        self._expire_if_due(self._unlock(message, changes), now_ms)

    def _unlock(self, message: QueuedMessage, changes: Map, *, state: MessageState | None = None) -> QueuedMessage:
        self._drop_lock(message)
        free = message._replace(
            lock=None,
            content=message.content.with_properties(changes),
            state=message.state if state is None else state,
        )
        self.bytes += free.content.size - message.content.size
        self._replace(free, rewritten=bool(changes))
        if free.expires_ms is not None:
            self._at(free.expires_ms, free.sequence)
        self._make_ready(free)
        return free

    def _expire_if_due(self, message: QueuedMessage, now_ms: int) -> None:
        if message.expires_ms is None or message.expires_ms > now_ms or message.state is MessageState.SCHEDULED:
            return
        if self.policy.dead_letters_expired and self.dead_letters is not None:
            text = "The message expired and was dead lettered."
            self.move_to_dead_letters(message, now_ms, "TTLExpiredException", text, {})
        else:
            self.remove(message)

    def _activate(self, message: QueuedMessage) -> None:
        """As if it had been sent at its time: with a new sequence number ("Message sequencing and time stamps")."""
        self.remove(message)
        active = message._replace(sequence=self.next_sequence, state=MessageState.ACTIVE)
        self._emit(MessageInserted(self.path, active))
        self.restore(active)

    def _make_ready(self, message: QueuedMessage) -> None:
        if message.state is MessageState.ACTIVE and message.lock is None:
            self.ready.add(message.content.session_id if self.policy.requires_session else None, message.sequence)
            self._on_ready(self)

    def remove(self, message: QueuedMessage) -> None:
        """Delete a message."""
        self._drop_lock(message)
        del self.messages[message.sequence]
        self.bytes -= message.content.size
        self._emit(MessageDeleted(self.path, message))
        self._order.tidy(self.messages)

    def _drop_lock(self, message: QueuedMessage) -> None:
        if message.lock is not None:
            self._locked.pop(message.lock.token, None)
            if message.content.session_id is not None:
                self.sessions.remove_token(message.content.session_id, message.lock.token)

    def _replace(self, message: QueuedMessage, *, rewritten: bool = False) -> None:
        self.messages[message.sequence] = message
        # A session's locks end with its link, so they are not durable.
        durable = message._replace(lock=None) if self.policy.requires_session else message
        self._emit(MessageUpdated(self.path, durable, rewritten))

    def _at(self, when: int, sequence: int) -> None:
        self.timers.add(when, sequence)
        self._on_timer(when, self)
