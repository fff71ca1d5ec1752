"""The sessions of a queue: their locks and their states.

A session's lock belongs to a link and ends with it, so it is not durable; its state is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from localcloud.servicebus.changes import Emit, LockGrant, QueuedMessage, SessionStateSet
from localcloud.servicebus.errors import InvalidArgumentError, SessionCannotBeLockedError, SessionLockLostError

MAX_STATE_BYTES: Final = 262_144
# The last millisecond of the year 9999, .NET's DateTime.MaxValue, by which clients ask for sessions without a date.
END_OF_TIME_MS: Final = 253_402_300_799_999


@dataclass(slots=True)
class MessageSession:
    """One session; `tokens` are the locks of its messages that its holder has."""

    state: bytes | None = None
    lock: LockGrant | None = None
    updated_ms: int = 0
    tokens: set[UUID] = field(default_factory=set)


class MessageSessions:
    """The sessions of the queue at `path` that are locked or have a state."""

    def __init__(self, path: str, emit: Emit) -> None:
        self._path = path
        self._emit = emit
        self._sessions: dict[str, MessageSession] = {}

    def restore(self, session_id: str, state: bytes) -> None:
        self._sessions[session_id] = MessageSession(state)

    def is_free(self, session_id: str, now_ms: int) -> bool:
        session = self._sessions.get(session_id)
        return session is None or session.lock is None or session.lock.until_ms <= now_ms

    def lock(self, session_id: str, now_ms: int, token: UUID, lock_ms: int) -> LockGrant:
        """Raises SessionCannotBeLockedError when another has it."""
        if not self.is_free(session_id, now_ms):
            raise SessionCannotBeLockedError(
                f"The session '{session_id}' of {self._path} is locked by another receiver."
            )
        session = self._sessions.setdefault(session_id, MessageSession())
        session.lock = LockGrant(token, now_ms + lock_ms)
        return session.lock

    def check(self, session_id: str, now_ms: int) -> MessageSession:
        """The session, given that it is locked; raises SessionLockLostError."""
        session = self._sessions.get(session_id)
        if session is None or session.lock is None or session.lock.until_ms <= now_ms:
            raise SessionLockLostError(f"The lock on session '{session_id}' of {self._path} ended: accept it again.")
        return session

    def renew(self, session_id: str, now_ms: int, lock_ms: int) -> int:
        """Until when the lock now lasts. Raises SessionLockLostError."""
        session = self.check(session_id, now_ms)
        assert session.lock is not None
        session.lock = LockGrant(session.lock.token, now_ms + lock_ms)
        return session.lock.until_ms

    def add_token(self, session_id: str, token: UUID) -> int:
        """Add the lock of a message that was delivered; returns when the session's lock ends (Unix milliseconds)."""
        session = self._sessions[session_id]
        assert session.lock is not None
        session.tokens.add(token)
        return session.lock.until_ms

    def remove_token(self, session_id: str, token: UUID) -> None:
        session = self._sessions.get(session_id)
        if session is not None:
            session.tokens.discard(token)

    def unlock(self, session_id: str, token: UUID) -> Iterable[UUID] | None:
        """The locks of messages that end with the session's; None when `token` is not its lock (any more)."""
        session = self._sessions.get(session_id)
        if session is None or session.lock is None or session.lock.token != token:
            return None
        session.lock = None
        return list(session.tokens)

    def remove_if_unused(self, session_id: str) -> None:
        session = self._sessions.get(session_id)
        if session is not None and session.lock is None and session.state is None and not session.tokens:
            del self._sessions[session_id]

    def lapsed(self, now_ms: int) -> Iterator[tuple[str, UUID]]:
        """Sessions whose lock has ended by time, and those locks."""
        for session_id, session in list(self._sessions.items()):
            if session.lock is not None and session.lock.until_ms <= now_ms:
                yield session_id, session.lock.token

    def lock_ends(self) -> Iterator[int]:
        """When the locks that there are will end."""
        for session in self._sessions.values():
            if session.lock is not None:
                yield session.lock.until_ms

    def is_locked(self, session_id: str) -> bool:
        session = self._sessions.get(session_id)
        return session is not None and session.lock is not None

    def is_locked_by(self, session_id: str, token: UUID) -> bool:
        session = self._sessions.get(session_id)
        return session is not None and session.lock is not None and session.lock.token == token

    def state(self, session_id: str, now_ms: int) -> bytes | None:
        """Raises SessionLockLostError."""
        return self.check(session_id, now_ms).state

    def set_state(self, session_id: str, state: bytes | None, now_ms: int) -> None:
        """Raises SessionLockLostError, or InvalidArgumentError for too big a state."""
        session = self.check(session_id, now_ms)
        if state is not None and len(state) > MAX_STATE_BYTES:
            raise InvalidArgumentError(f"the session state has {len(state)} bytes; allowed are {MAX_STATE_BYTES}")
        session.state = state
        session.updated_ms = now_ms
        self._emit(SessionStateSet(self._path, session_id, state))

    def names(self, since_ms: int, messages: Iterable[QueuedMessage]) -> list[str]:
        """Sessions whose state was set since then, in order.

        From the end of time on: all that have a state or some of the queue's `messages`.
        """
        everything = since_ms >= END_OF_TIME_MS
        found = {message.content.session_id for message in messages} if everything else set()
        names = {name for name in found if name is not None}
        for session_id, session in self._sessions.items():
            if session.state is not None and (everything or session.updated_ms >= since_ms):
                names.add(session_id)
        return sorted(names)
